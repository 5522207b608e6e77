"""The file ``model.safetensors`` of a classifier of texts: with tokenizer and configuration.

Its metadata holds the tokenizer as a whole, and the sizes of the encoder, so that prediction needs
no other file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from neurenix import nn
from neurenix.data.text import Tokenizer
from neurenix.data.transforms import Transform
from neurenix.io import WeightsFileError, safetensors_metadata
from neurenix.models import Bert, BertConfig
from neurenix_transfer.runs.model_file import (
    Classifier,
    NoModelError,
    find_model_file,
    read_model_file,
    save_model_file,
)

FORMAT = "neurenix-text-classifier-1"


@dataclass(frozen=True)
class TextClassifier(Classifier):
    """A model of texts with what belongs to it.

    Its preprocessing is the tokenizer, as `Tokenizer.to_dict` gives it.
    """

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


def save_text_classifier(path: Path, classifier: TextClassifier) -> None:
    """Write a classifier."""
    encoder = classifier.encoder
    own = {
        "format": FORMAT,
        "config": json.dumps(encoder.config.to_dict()),
        "pooling": encoder.pooling,
        "preprocessing": json.dumps(dict(classifier.preprocessing), ensure_ascii=False),
    }
    save_model_file(path, classifier, own)


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
    stored = read_model_file(
        path,
        FORMAT,
        "no classifier of texts. Give a folder that neurenix fine-tune --text has written",
    )
    with stored.read() as metadata:
        preprocessing = json.loads(metadata["preprocessing"])
        config = BertConfig.from_dict(json.loads(metadata["config"]), str(stored.file))
        pooling: Any = metadata["pooling"]
        with nn.init.skip():  # the file's values follow
            encoder = Bert(config, pooling)
    return stored.classifier(TextClassifier, encoder, encoder.num_features, preprocessing)
