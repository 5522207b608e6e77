"""BERT: an encoder of texts, with Hugging Face's state-dict names.

Reference: Devlin, Chang, Lee and Toutanova, "BERT: Pre-training of Deep Bidirectional
Transformers for Language Understanding", 2019.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from neurenix import nn, ops
from neurenix.dtypes import bool_, int32, int64
from neurenix.errors import DTypeError, ShapeError
from neurenix.models.bert_config import BertConfig
from neurenix.models.bert_layers import BertEmbeddings, BertEncoder, BertPooler
from neurenix.models.text_weights import TextWeights
from neurenix.tensor import Tensor

Pooling: TypeAlias = Literal["mean", "cls", "pooler"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


class Bert(nn.Module):
    """A BERT encoder that gives one vector a text.

    A text is a row of token ids, filled up with the config's ``pad_token_id``: where a row has
    that id, nothing is attended to and nothing is pooled. So the ids alone are the input, and a
    text's vector does not depend on how far it is filled up, but for the rounding of sums. It is
    bitwise the same where the shapes are: for a text alone, filled up to the same length.

    Args:
        config: The sizes and settings.
        pooling: How the vectors of the tokens become one: ``"mean"`` over the tokens of the
            text, the first token's (``"cls"``), or ``"pooler"``, which maps the first token's by
            a layer that BERT's pretraining gave it.

    Attributes:
        head: None: there is no classifier; new layers take the whole output.
        num_features: The width of that output.
        pad_token_id: The id that fills a text up.
        weights: The pretrained weights that the model was built with, or ``None``.

    Shape:
        Input: (N, T) whole numbers. Output: (N, num_features).

    Example:
        >>> import neurenix
        >>> from neurenix.models import Bert, BertConfig
        >>> config = BertConfig(
        ...     vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        ...     intermediate_size=16,
        ... )
        >>> Bert(config)(neurenix.Tensor([[2, 7, 3], [2, 3, 0]])).shape
        (2, 8)
    """

    head = None
    weights: TextWeights | None
    pooler: BertPooler | None

    def __init__(self, config: BertConfig, pooling: Pooling = "mean") -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling is one of {', '.join(map(repr, POOLINGS))}, not {pooling!r}")
        self.config = config
        self.pooling = pooling
        self.num_features = config.hidden_size
        self.pad_token_id = config.pad_token_id
        self.weights = None
        with nn.init.skip():  # everything is initialised once, below
            self.embeddings = BertEmbeddings(config)
            self.encoder = BertEncoder(config)
            self.pooler = BertPooler(config) if pooling == "pooler" else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew: weights normal with the config's ``initializer_range``."""
        std = self.config.initializer_range
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
        nn.init.zeros_(self.embeddings.word_embeddings.weight.detach()[self.pad_token_id])

    def attention_mask(self, input_ids: Tensor) -> Tensor:
        """Return where a batch has tokens of texts, and not what fills them up.

        Shape:
            (N, T) to (N, T) bools.
        """
        return input_ids != self.pad_token_id

    def forward_features(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Tensor:
        """Return the vectors of all tokens.

        Args:
            input_ids: The tokens.
            attention_mask: True or 1 where there is a token of the text; by default, wherever
                there is another one than ``pad_token_id``.
            token_type_ids: The type of each token; by default all are of type 0.

        Shape:
            (N, T) whole numbers to (N, T, num_features).

        Raises:
            DTypeError: The input does not hold whole numbers.
            ShapeError: The input has not two axes, or a text is longer than the model takes.
        """
        mask = self._checked_mask(input_ids, attention_mask)
        if token_type_ids is not None and token_type_ids.shape != input_ids.shape:
            raise ShapeError(
                f"token_type_ids are shaped as the ids, {input_ids.shape}; got "
                f"{token_type_ids.shape}"
            )
        x = self.embeddings(input_ids, token_type_ids)
        out: Tensor = self.encoder(x, mask.reshape((mask.shape[0], 1, 1, mask.shape[1])))
        return out

    def forward_head(
        self, x: Tensor, attention_mask: Tensor | None = None, pre_logits: bool = False
    ) -> Tensor:
        """Pool the vectors of tokens to one a text.

        Args:
            x: What `forward_features` gives.
            attention_mask: What it was given, or `attention_mask` of the ids; without, every
                token counts as one of the text.
            pre_logits: Taken for the sake of models with a classifier; there is none here.

        Shape:
            (N, T, num_features) to (N, num_features).
        """
        if self.pooler is not None:
            pooled: Tensor = self.pooler(x)
            return pooled
        if self.pooling == "cls":
            return x[:, 0]
        if attention_mask is None:
            return x.mean(axis=1)
        counted = attention_mask.astype(x.dtype)
        total = ops.matmul(counted.unsqueeze(1), x).squeeze(1)
        # A row of nothing but padding gives zeros.
        return total / ops.maximum(counted.sum(axis=1, keepdims=True), 1.0)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Tensor:
        """Return one vector a text; the arguments are those of `forward_features`."""
        mask = self._checked_mask(input_ids, attention_mask)
        return self.forward_head(self.forward_features(input_ids, mask, token_type_ids), mask)

    def _checked_mask(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        if input_ids.dtype not in (int64, int32):
            raise DTypeError(
                f"Bert takes token ids, of int64 or int32; got {input_ids.dtype}. A Tokenizer "
                "(model.weights.transforms()) makes them of a text"
            )
        if input_ids.ndim != 2:
            raise ShapeError(
                f"Bert takes token ids of shape (N, T), one row a text; got {input_ids.shape}"
            )
        longest = self.config.max_position_embeddings
        if not 0 < input_ids.shape[1] <= longest:
            raise ShapeError(
                f"Bert takes texts of 1 to {longest} tokens (max_position_embeddings); got "
                f"{input_ids.shape[1]}. A Tokenizer cuts them: Tokenizer(..., max_length={longest})"
            )
        if attention_mask is None:
            return self.attention_mask(input_ids)
        if attention_mask.shape != input_ids.shape:
            raise ShapeError(
                f"attention_mask is shaped as the ids, {input_ids.shape}; got "
                f"{attention_mask.shape}"
            )
        return attention_mask if attention_mask.dtype == bool_ else attention_mask != 0

    def extra_repr(self) -> str:
        """Return the pooling."""
        return f"pooling={self.pooling!r}"
