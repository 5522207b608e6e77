"""Building a `Bert`, with weights from a folder or from the hub."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from neurenix import nn
from neurenix.data.text import Tokenizer
from neurenix.models.bert_config import BertConfig
from neurenix.models.bert_encoder import Bert, Pooling
from neurenix.models.bert_state import load_bert_state
from neurenix.models.model_folder import TOKENIZER, ModelFolder, find_model_folder
from neurenix.models.pretrained import Pretrained
from neurenix.models.registry import register
from neurenix.models.sentence_pooling import read_pooling
from neurenix.models.text_weights import TextWeights

# Small, and the vectors of its sentences are good without any training.
DEFAULT_NAME = "sentence-transformers/all-MiniLM-L6-v2"


@register(takes="texts")
def bert(
    pretrained: Pretrained = False,
    *,
    config: BertConfig | Mapping[str, Any] | None = None,
    pooling: Pooling | None = None,
) -> Bert:
    """Build a BERT encoder.

    Args:
        pretrained: The path of a folder in the layout of Hugging Face (``config.json``,
            ``model.safetensors``, ``tokenizer.json``); or the name of such a repository on the
            hub, e.g. ``"sentence-transformers/all-MiniLM-L6-v2"``, which ``True`` stands for, and
            which is kept in ``$NEURENIX_HOME/models``; or ``False`` for random weights.
        config: The sizes of a model with random weights, by default those of BERT-base. Pretrained
            weights bring their own.
        pooling: How tokens become one vector a text: ``"mean"``, ``"cls"`` or ``"pooler"``. By
            default what the folder says in the files of sentence-transformers, else ``"mean"``.

    Returns:
        The model; ``model.weights.transforms()`` is its tokenizer.

    Raises:
        BertConfigError: The folder's model is of another kind, or asks for what is not supported.
        ModelFolderError: There is no such folder, or a file is missing in it.
        PretrainedWeightsError: The repository is neither on this machine nor to be had.
        WeightsFileError: The weights are damaged, or of another model.
    """
    if pretrained is False:
        shape = BertConfig() if config is None else config
        if not isinstance(shape, BertConfig):
            shape = BertConfig.from_dict(shape, "config")
        return Bert(shape, pooling or "mean")
    if config is not None:
        raise ValueError(
            "config gives the sizes of a model with random weights; pretrained weights bring "
            "their own. Leave one of the two out"
        )
    source = DEFAULT_NAME if pretrained is True else pretrained
    if not isinstance(source, str | PathLike):
        raise TypeError(
            f"pretrained must be True, False, a folder or a repository's name, got {pretrained!r}"
        )
    folder = find_model_folder(source, BertConfig.from_file, lambda found: _build(found, pooling))
    model = _build(folder, pooling)
    model.weights = _weights(folder, model)
    return model


def _build(folder: ModelFolder, pooling: Pooling | None) -> Bert:
    config = BertConfig.from_file(folder.config)
    with nn.init.skip():  # the file's values follow
        model = Bert(config, pooling or read_pooling(folder.path))
    load_bert_state(model, folder.weights)
    return model


def _weights(folder: ModelFolder, model: Bert) -> TextWeights:
    preprocessing = {}
    if (folder.path / TOKENIZER).is_file():
        preprocessing = Tokenizer.from_folder(folder.path).to_dict()
    return TextWeights(folder.name, folder.weights, model.pad_token_id, preprocessing)
