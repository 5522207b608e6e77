"""The file ``model.safetensors``: a complete classifier of photos, with all that it needs.

Its metadata holds the classes, the preprocessing, and how to build the model: the base by its
name, and the head by its sizes. Nothing in it is code.
"""

from __future__ import annotations

import difflib
import json
import math
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from neurenix import models, nn
from neurenix.errors import NeurenixError
from neurenix.io import (
    WeightsFileError,
    load_safetensors,
    safetensors_metadata,
    save_safetensors,
)
from neurenix.models.preprocessing import (
    METADATA_KEY,
    preprocessing_from_json,
    preprocessing_to_json,
)
from neurenix_transfer.runs.run_folder import MODEL_FILE
from neurenix_transfer.transfer_model import TransferModel

FORMAT = "neurenix-photo-classifier-1"
_HEAD = "layer-norm-linear"


class NoModelError(NeurenixError, FileNotFoundError):
    """A folder or file that holds no fine-tuned model."""


@dataclass(frozen=True)
class PhotoClassifier:
    """A model with what belongs to it.

    Attributes:
        model: The base and its head.
        classes: The names of the classes, in the order of the model's outputs.
        preprocessing: What photos go through; see `neurenix.models.preprocessing`.
        base: The name of the base in `neurenix.models`.
        temperature: What logits are divided by before softmax; see `calibrate`.
        licence: Of the base's weights, as their file says it; empty if it says nothing.
    """

    model: TransferModel
    classes: tuple[str, ...]
    preprocessing: dict[str, Any]
    base: str
    temperature: float = 1.0
    licence: str = ""


def photo_head(num_features: int, num_classes: int) -> nn.Sequential:
    """Return a new head: LayerNorm without affine, then a Linear that starts at zero.

    At the start every class is equally likely, whatever the scale of the features.
    """
    linear = nn.Linear(num_features, num_classes)
    nn.init.zeros_(linear.weight)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)
    return nn.Sequential(nn.LayerNorm(num_features, elementwise_affine=False), linear)


def save_classifier(path: Path, classifier: PhotoClassifier) -> None:
    """Write a classifier; the classifier of the base that the head replaces is left out."""
    metadata = {
        "format": FORMAT,
        "base": classifier.base,
        "head": _HEAD,
        "classes": json.dumps(classifier.classes, ensure_ascii=False),
        METADATA_KEY: preprocessing_to_json(classifier.preprocessing),
        "temperature": repr(float(classifier.temperature)),
    }
    if classifier.licence:
        metadata["licence"] = classifier.licence  # it holds for what is made of the weights too
    save_safetensors(path, classifier.model.state_dict(), metadata)


def load_classifier(path: str | PathLike[str]) -> PhotoClassifier:
    """Read a classifier from the folder of a run, or from its ``model.safetensors``.

    Raises:
        NoModelError: There is no such file, or the file is none that `save_classifier` wrote.
        WeightsFileError: The file is damaged, or contradicts itself.
    """
    file = find_model_file(path)
    metadata = safetensors_metadata(file)
    if metadata.get("format") != FORMAT:
        raise NoModelError(
            f"{file} holds weights, but not the classes and the preprocessing that a fine-tuned "
            "model has. Give a folder that neurenix fine-tune has written; to start from these "
            "weights, give them to it as --weights"
        )
    try:
        name, head = metadata["base"], metadata["head"]
        classes = tuple(str(entry) for entry in json.loads(metadata["classes"]))
        preprocessing = preprocessing_from_json(metadata[METADATA_KEY])
        temperature = checked_temperature(metadata.get("temperature", "1.0"))
    except (KeyError, ValueError) as error:
        raise WeightsFileError(file, f"its metadata is damaged: {error!r}") from error
    if head != _HEAD:
        raise WeightsFileError(
            file,
            f"its head is {head!r}, where this version knows {_HEAD!r}; upgrade neurenix-transfer",
        )
    base = create_base(name)
    model = TransferModel(base, photo_head(num_features_of(base, name), len(classes)))
    try:
        model.load_state_dict(load_safetensors(file))
    except (NeurenixError, KeyError, ValueError) as error:
        raise WeightsFileError(file, f"its weights do not fit its base {name}: {error}") from error
    model.eval()
    licence = metadata.get("licence", "")
    return PhotoClassifier(model, classes, preprocessing, name, temperature, licence)


def weights_licence(path: Path) -> str:
    """Return the licence that a file of weights names in its metadata; empty if it names none."""
    try:
        metadata = safetensors_metadata(path)
    except WeightsFileError:
        return ""  # a file of PyTorch's, which has no metadata
    found = (metadata.get(key, "") for key in ("licence", "license"))
    return next((" ".join(each.split()) for each in found if each), "")


def checked_temperature(text: str) -> float:
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


class UnknownBaseError(NeurenixError, ValueError):
    """A base that `neurenix.models` does not have, or that cannot be one."""


def create_base(name: str, pretrained: bool | str | Path = False) -> nn.Module:
    """Build a base by its name.

    Args:
        name: One of ``neurenix.models.names("photos")``.
        pretrained: What its function takes; the classifier of pretrained weights is left out,
            so that they may have any number of classes.

    Raises:
        UnknownBaseError: `neurenix.models` has none of that name for photos.
    """
    known = models.names("photos")
    if name in models.names("texts"):
        raise UnknownBaseError(
            f"{name} takes texts, and these are photos; for photos there are {', '.join(known)}. "
            "To train on texts add --text, and name the encoder's folder, or its repository on "
            "the hub, as the base"
        )
    if name not in known:
        close = difflib.get_close_matches(name, known)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        raise UnknownBaseError(f"there is no base {name!r}; {hint}there are {', '.join(known)}")
    if pretrained is False:
        return models.create(name)
    return models.create(name, pretrained=pretrained, load_head=False)


def num_features_of(base: nn.Module, name: str) -> int:
    """Return the width of the features that a base gives to its head.

    Raises:
        UnknownBaseError: It does not say.
    """
    width = getattr(base, "num_features", None)
    if not isinstance(width, int):
        raise UnknownBaseError(
            f"{name} does not say how wide its features are: expected an attribute num_features"
        )
    return width
