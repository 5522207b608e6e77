"""The layers of BERT, nested and named as in Hugging Face's state dicts.

Reference: Devlin, Chang, Lee and Toutanova, "BERT: Pre-training of Deep Bidirectional
Transformers for Language Understanding", 2019.
"""

from __future__ import annotations

from neurenix import nn, ops
from neurenix.models.bert_config import GELUS, BertConfig
from neurenix.nn import functional as F
from neurenix.tensor import Tensor


class BertEmbeddings(nn.Module):
    """The sum of a token's, its position's and its type's vector, normalised.

    Shape:
        Input: (N, T) whole numbers. Output: (N, T, C).
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Return the vectors of the tokens; without types all are of the first."""
        x: Tensor = self.word_embeddings(input_ids)
        place = self.position_embeddings.weight[: input_ids.shape[1]]
        if token_type_ids is None:
            x = x + (place + self.token_type_embeddings.weight[0])
        else:
            x = x + self.token_type_embeddings(token_type_ids) + place
        out: Tensor = self.dropout(self.LayerNorm(x))
        return out


class BertSelfAttention(nn.Module):
    """Attention in several heads between the tokens of one text, without the last projection.

    Shape:
        Input: (N, T, C); the mask (N, 1, 1, T), True where a token may be attended to.
        Output: (N, T, C).
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Attend."""
        dropout = self.dropout
        out, _ = F.multi_head_attention(
            self.query(x),
            self.key(x),
            self.value(x),
            self.num_heads,
            mask=mask,
            dropout_p=dropout.p if dropout.p and dropout.training else 0.0,
            generator=dropout.generator,
        )
        return out


class BertResidual(nn.Module):
    """A linear map whose dropped-out result is added to a shortcut; the sum is normalised."""

    def __init__(self, config: BertConfig, in_features: int) -> None:
        super().__init__()
        self.dense = nn.Linear(in_features, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """Return ``LayerNorm(shortcut + dropout(dense(x)))``."""
        out: Tensor = self.LayerNorm(self.dropout(self.dense(x)) + shortcut)
        return out


class BertAttention(nn.Module):
    """Self-attention and its residual connection."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.self = BertSelfAttention(config)
        self.output = BertResidual(config, config.hidden_size)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Attend, and add."""
        out: Tensor = self.output(self.self(x, mask), x)
        return out


class BertIntermediate(nn.Module):
    """The wide linear map of a layer, and its activation."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.hidden_act = config.hidden_act

    def forward(self, x: Tensor) -> Tensor:
        """Widen."""
        return _activate(self.dense(x), self.hidden_act)

    def extra_repr(self) -> str:
        """Return the activation."""
        return f"hidden_act={self.hidden_act!r}"


class BertLayer(nn.Module):
    """One layer: self-attention, then a map of each token alone, each with a shortcut.

    Shape:
        (N, T, C) to (N, T, C).
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = BertAttention(config)
        self.intermediate = BertIntermediate(config)
        self.output = BertResidual(config, config.intermediate_size)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Run the layer."""
        x = self.attention(x, mask)
        out: Tensor = self.output(self.intermediate(x), x)
        return out


class BertEncoder(nn.Module):
    """All layers, one after the other."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList([BertLayer(config) for _ in range(config.num_hidden_layers)])

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Run the layers."""
        for layer in self.layer:
            x = layer(x, mask)
        return x


class BertPooler(nn.Module):
    """What BERT's pretraining made of the first token: ``tanh(dense(x[:, 0]))``.

    Shape:
        (N, T, C) to (N, C).
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """Map the first token."""
        return ops.tanh(self.dense(x[:, 0]))


def _activate(x: Tensor, name: str) -> Tensor:
    if name in GELUS:
        return ops.gelu(x, approximate=GELUS[name])
    if name in ("silu", "swish"):
        return ops.silu(x)
    return ops.relu(x) if name == "relu" else ops.tanh(x)
