"""The file ``model.safetensors`` of a classifier of photos, and the bases that it may have."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from neurenix import models, nn
from neurenix.errors import NeurenixError
from neurenix.models.preprocessing import (
    METADATA_KEY,
    preprocessing_from_json,
    preprocessing_to_json,
)
from neurenix_transfer.runs.model_file import Classifier, read_model_file, save_model_file

FORMAT = "neurenix-photo-classifier-1"


@dataclass(frozen=True)
class PhotoClassifier(Classifier):
    """A model of photos with what belongs to it.

    Its base is the name of one in `neurenix.models`, its preprocessing as
    `neurenix.models.preprocessing` has it.
    """


def save_classifier(path: Path, classifier: PhotoClassifier) -> None:
    """Write a classifier."""
    preprocessing = preprocessing_to_json(classifier.preprocessing)
    save_model_file(path, classifier, {"format": FORMAT, METADATA_KEY: preprocessing})


def load_classifier(path: str | PathLike[str]) -> PhotoClassifier:
    """Read a classifier from the folder of a run, or from its ``model.safetensors``.

    Raises:
        NoModelError: There is no such file, or the file is none that `save_classifier` wrote.
        WeightsFileError: The file is damaged, or contradicts itself.
        UnknownBaseError: There is no base of that name.
    """
    stored = read_model_file(
        path,
        FORMAT,
        "weights, but not the classes and the preprocessing that a fine-tuned model has. Give a "
        "folder that neurenix fine-tune has written; to start from these weights, give them to it "
        "as --weights",
    )
    with stored.read() as metadata:
        preprocessing = preprocessing_from_json(metadata[METADATA_KEY])
    base = create_base(stored.base)
    width = num_features_of(base, stored.base)
    return stored.classifier(PhotoClassifier, base, width, preprocessing)


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
