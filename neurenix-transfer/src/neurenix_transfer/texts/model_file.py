"""The file ``model.safetensors`` of a text classifier: with tokenizer and configuration.

Its metadata holds the classes, the tokenizer as a whole, and the sizes of the encoder, so that
prediction needs no other file. Nothing in it is code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from neurenix import nn
from neurenix.data.text import Tokenizer
from neurenix.data.transforms import Transform
from neurenix.errors import NeurenixError
from neurenix.io import WeightsFileError, load_safetensors, safetensors_metadata, save_safetensors
from neurenix.models import Bert, BertConfig
from neurenix_transfer.photos.model_file import (
    NoModelError,
    checked_temperature,
    find_model_file,
    photo_head,
)
from neurenix_transfer.transfer_model import TransferModel

FORMAT = "neurenix-text-classifier-1"
_HEAD = "layer-norm-linear"


@dataclass(frozen=True)
class TextClassifier:
    """A model with what belongs to it.

    Attributes:
        model: An encoder and its head.
        classes: The names of the classes, in the order of the model's outputs.
        preprocessing: The tokenizer, as `Tokenizer.to_dict` gives it.
        base: What the encoder was called.
        temperature: What logits are divided by before softmax; see `calibrate`.
        licence: Of the encoder's weights, as their file says it; empty if it says nothing.
    """

    model: TransferModel
    classes: tuple[str, ...]
    preprocessing: Mapping[str, Any]
    base: str
    temperature: float = 1.0
    licence: str = ""

    @property
    def encoder(self) -> Bert:
        """The encoder."""
        base = self.model.get_base_model()
        assert isinstance(base, Bert)
        return base

    def tokenizer(self) -> Tokenizer:
        """Return what makes token ids of a text."""
        tokenizer = Transform.from_dict(self.preprocessing)
        assert isinstance(tokenizer, Tokenizer)
        return tokenizer


def text_head(num_features: int, num_classes: int) -> nn.Sequential:
    """Return a new head, the same as for photos."""
    return photo_head(num_features, num_classes)


def save_text_classifier(path: Path, classifier: TextClassifier) -> None:
    """Write a classifier."""
    encoder = classifier.encoder
    metadata = {
        "format": FORMAT,
        "base": classifier.base,
        "config": json.dumps(encoder.config.to_dict()),
        "pooling": encoder.pooling,
        "head": _HEAD,
        "classes": json.dumps(classifier.classes, ensure_ascii=False),
        "preprocessing": json.dumps(dict(classifier.preprocessing), ensure_ascii=False),
        "temperature": repr(float(classifier.temperature)),
    }
    if classifier.licence:
        metadata["licence"] = classifier.licence  # it holds for what is made of the weights too
    save_safetensors(path, classifier.model.state_dict(), metadata)


def is_text_model(path: str | PathLike[str]) -> bool:
    """Whether a folder or file holds a text classifier; False where it holds no model."""
    try:
        return safetensors_metadata(find_model_file(path)).get("format") == FORMAT
    except (NoModelError, WeightsFileError):
        return False


def load_text_classifier(path: str | PathLike[str]) -> TextClassifier:
    """Read a classifier from the folder of a run, or from its ``model.safetensors``.

    Raises:
        NoModelError: There is no such file, or the file is none that `save_text_classifier` wrote.
        WeightsFileError: The file is damaged, or contradicts itself.
    """
    file = find_model_file(path)
    metadata = safetensors_metadata(file)
    if metadata.get("format") != FORMAT:
        raise NoModelError(
            f"{file} holds no classifier of texts. Give a folder that neurenix fine-tune --text "
            "has written"
        )
    try:
        classes = tuple(str(entry) for entry in json.loads(metadata["classes"]))
        preprocessing = json.loads(metadata["preprocessing"])
        config = BertConfig.from_dict(json.loads(metadata["config"]), str(file))
        pooling: Any = metadata["pooling"]
        with nn.init.skip():  # the file's values follow
            encoder = Bert(config, pooling)
        base = metadata["base"]
        head = metadata["head"]
        temperature = checked_temperature(metadata.get("temperature", "1.0"))
    except (KeyError, ValueError) as error:
        raise WeightsFileError(file, f"its metadata is damaged: {error!r}") from error
    if head != _HEAD:
        raise WeightsFileError(
            file,
            f"its head is {head!r}, where this version knows {_HEAD!r}; upgrade neurenix-transfer",
        )
    model = TransferModel(encoder, text_head(encoder.num_features, len(classes)))
    try:
        model.load_state_dict(load_safetensors(file))
    except (NeurenixError, KeyError, ValueError) as error:
        raise WeightsFileError(file, f"its weights do not fit its encoder: {error}") from error
    model.eval()
    licence = metadata.get("licence", "")
    return TextClassifier(model, classes, preprocessing, base, temperature, licence)
