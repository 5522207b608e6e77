"""The file ``model.safetensors``: a complete classifier, with all that it needs.

Its metadata holds the classes, the preprocessing, and how to build the model. Nothing in it is
code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from neurenix import nn
from neurenix.errors import NeurenixError
from neurenix.io import (
    WeightsFileError,
    load_safetensors,
    safetensors_metadata,
    save_safetensors,
)
from neurenix_transfer.runs.run_folder import MODEL_FILE
from neurenix_transfer.transfer_model import TransferModel

_HEAD = "layer-norm-linear"


class NoModelError(NeurenixError, FileNotFoundError):
    """A folder or file that holds no fine-tuned model."""


@dataclass(frozen=True)
class Classifier:
    """A model with what belongs to it.

    Attributes:
        model: The base and its head.
        classes: The names of the classes, in the order of the model's outputs.
        preprocessing: What samples go through.
        base: What the base is called.
        temperature: What logits are divided by before softmax; see `calibrate`.
        licence: Of the base's weights, as their file says it; empty if it says nothing.
    """

    model: TransferModel
    classes: tuple[str, ...]
    preprocessing: Mapping[str, Any]
    base: str
    temperature: float = 1.0
    licence: str = ""


Kind = TypeVar("Kind", bound=Classifier)


def new_head(num_features: int, num_classes: int) -> nn.Sequential:
    """Return a new head: LayerNorm without affine, then a Linear that starts at zero.

    At the start every class is equally likely, whatever the scale of the features.
    """
    linear = nn.Linear(num_features, num_classes)
    nn.init.zeros_(linear.weight)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)
    return nn.Sequential(nn.LayerNorm(num_features, elementwise_affine=False), linear)


def save_model_file(path: Path, classifier: Classifier, own: Mapping[str, str]) -> None:
    """Write a classifier; the classifier of the base that the head replaces is left out.

    Args:
        path: The file.
        classifier: The classifier.
        own: What its kind adds to the metadata; ``format`` at least.
    """
    metadata = {
        "base": classifier.base,
        "head": _HEAD,
        "classes": json.dumps(classifier.classes, ensure_ascii=False),
        "temperature": repr(float(classifier.temperature)),
        **own,
    }
    if classifier.licence:
        metadata["licence"] = classifier.licence  # it holds for what is made of the weights too
    save_safetensors(path, classifier.model.state_dict(), metadata)


@dataclass(frozen=True)
class StoredModel:
    """A file of a classifier, before its model is built.

    Attributes:
        file: The file.
        metadata: Its metadata.
        base: What the base is called.
        classes: The names of the classes.
        temperature: What logits are divided by before softmax.
    """

    file: Path
    metadata: Mapping[str, str] = field(repr=False)
    base: str
    classes: tuple[str, ...]
    temperature: float

    @contextmanager
    def read(self) -> Iterator[Mapping[str, str]]:
        """Give the metadata to a block, whose errors say that they are damaged.

        Raises:
            WeightsFileError: An entry is missing, or has no meaning.
        """
        with _damaged(self.file):
            yield self.metadata

    def classifier(
        self, kind: type[Kind], base: nn.Module, width: int, preprocessing: Mapping[str, Any]
    ) -> Kind:
        """Join a base with a head, and load the weights of both.

        Args:
            kind: The class to make.
            base: The base, with any weights.
            width: How wide its features are.
            preprocessing: What samples go through.

        Raises:
            WeightsFileError: The weights do not fit.
        """
        model = TransferModel(base, new_head(width, len(self.classes)))
        try:
            model.load_state_dict(load_safetensors(self.file))
        except (NeurenixError, KeyError, ValueError) as error:
            what = f"its weights do not fit its base {self.base}: {error}"
            raise WeightsFileError(self.file, what) from error
        model.eval()
        licence = self.metadata.get("licence", "")
        return kind(model, self.classes, preprocessing, self.base, self.temperature, licence)


def read_model_file(path: str | PathLike[str], form: str, otherwise: str) -> StoredModel:
    """Read what a file says of its classifier.

    Args:
        path: The folder of a run, or its ``model.safetensors``.
        form: The ``format`` that it must have.
        otherwise: What to say of a file that has another one.

    Raises:
        NoModelError: There is no such file, or it is none of that format.
        WeightsFileError: The file is damaged, or contradicts itself.
    """
    file = find_model_file(path)
    metadata = safetensors_metadata(file)
    if metadata.get("format") != form:
        raise NoModelError(f"{file} holds {otherwise}")
    with _damaged(file):
        base, head = metadata["base"], metadata["head"]
        classes = tuple(str(entry) for entry in json.loads(metadata["classes"]))
        temperature = _checked_temperature(metadata.get("temperature", "1.0"))
    if head != _HEAD:
        raise WeightsFileError(
            file,
            f"its head is {head!r}, where this version knows {_HEAD!r}; upgrade neurenix-transfer",
        )
    return StoredModel(file, metadata, base, classes, temperature)


@contextmanager
def _damaged(file: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, ValueError) as error:
        raise WeightsFileError(file, f"its metadata is damaged: {error!r}") from error


def weights_licence(path: Path) -> str:
    """Return the licence that a file of weights names in its metadata; empty if it names none."""
    try:
        metadata = safetensors_metadata(path)
    except WeightsFileError:
        return ""  # a file of PyTorch's, which has no metadata
    found = (metadata.get(key, "") for key in ("licence", "license"))
    return next((" ".join(each.split()) for each in found if each), "")


def _checked_temperature(text: str) -> float:
    """Return the temperature that a file's metadata hold.

    Raises:
        ValueError: It is no number above 0.
    """
    temperature = float(text)
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"a temperature is a number above 0, not {text}")
    return temperature


def find_model_file(path: str | PathLike[str]) -> Path:
    """Return the model's file, given that or the folder it lies in.

    Raises:
        NoModelError: There is none.
    """
    path = Path(path)
    if path.is_file():
        return path
    file = path / MODEL_FILE
    if not file.is_file():
        what = f"it has no {MODEL_FILE}" if path.is_dir() else "there is no such folder"
        raise NoModelError(
            f"no model in {path}: {what}. Expected a folder that neurenix fine-tune has written"
        )
    return file
