"""What a run will train on what: everything that is decided before the first photo is decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import neurenix
from neurenix.backends.registry import resolve
from neurenix.data.image_folder import ImageFolder
from neurenix_transfer.photos.layout import PhotoLayout, find_layout
from neurenix_transfer.photos.model_file import (
    PhotoClassifier,
    UnknownBaseError,
    create_base,
    num_features_of,
    photo_head,
    weights_licence,
)
from neurenix_transfer.photos.options import FineTuneOptions
from neurenix_transfer.recipes.layers import EVERY_LAYER
from neurenix_transfer.runs.training import unfreeze_for
from neurenix_transfer.transfer_model import TransferModel


@dataclass(frozen=True)
class Plan:
    """A run before its first step.

    Attributes:
        options: As they were given.
        layout: The photos.
        classifier: The model to train, with its classes and its preprocessing.
        device: Where it is.
        weights_path: The file of the base's weights.
        weights_sha256: Its hash.
    """

    options: FineTuneOptions
    layout: PhotoLayout
    classifier: PhotoClassifier
    device: neurenix.Device
    weights_path: Path
    weights_sha256: str

    @property
    def trained_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(p.size for p in self.classifier.model.parameters() if p.requires_grad)

    @property
    def total_parameters(self) -> int:
        """How many numbers the model has."""
        return sum(p.size for p in self.classifier.model.parameters())


def make_plan(options: FineTuneOptions) -> Plan:
    """Find the photos, load the base, and join it with a new head.

    Raises:
        DeviceError: The device cannot be used.
        PhotoFolderError: The photos are not as expected.
        UnknownBaseError: There is no such base.
        WeightsFileError: The weights are not the base's.
        UnknownLayerError: ``unfreeze`` names a layer that the base does not have.
    """
    device = resolve(options.device)
    layout = find_layout(options.photos, options.val_fraction, options.seed)
    neurenix.manual_seed(options.seed)
    base = create_base(options.base, pretrained=options.weights or True)
    weights = getattr(base, "weights", None)
    preprocessing: Mapping[str, Any] | None = getattr(weights, "preprocessing", None)
    path = getattr(weights, "path", None)
    if preprocessing is None or path is None:
        raise UnknownBaseError(
            f"{options.base} does not say what its weights are: expected an attribute weights with "
            "preprocessing and path, as the models of neurenix.models have"
        )
    model = TransferModel(
        base, photo_head(num_features_of(base, options.base), len(layout.classes))
    )
    unfreeze_for(model, options)
    model.to(device)
    classifier = PhotoClassifier(
        model,
        layout.classes,
        dict(preprocessing),
        options.base,
        licence=weights_licence(Path(path)),
    )
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Plan(options, layout, classifier, device, Path(path), sha256)


def plan_lines(plan: Plan) -> list[str]:
    """Say in lines of text what was decided."""
    options, layout = plan.options, plan.layout
    classes = ", ".join(layout.classes) if len(layout.classes) <= 8 else ""
    named = f"{len(layout.classes)} classes" + (f": {classes}" if classes else "")
    frozen = "frozen"
    if options.unfreeze:
        frozen = f"frozen but for {', '.join(options.unfreeze)}"
        if EVERY_LAYER in options.unfreeze:
            frozen = "trained as a whole"
    trained = ""
    if options.recipe is None:
        trained = (
            f"; {plan.trained_parameters:,} of {plan.total_parameters:,} parameters are trained"
        )
    augmentation = "no augmentation"
    if options.augment:
        augmentation = (
            "augmentation on: random crops and mirrorings, other ones each epoch, so that the "
            "feature cache is off"
        )
    return [
        f"Photos: {len(layout.train)} to train on, {len(layout.val)} to validate on; {named}",
        *(f"  {note}" for note in layout.notes),
        f"Base: {options.base}, {frozen}; weights {plan.weights_path} "
        f"(sha256 {plan.weights_sha256[:12]})",
        f"Head: LayerNorm without affine, then Linear from zero{trained}, on {plan.device}",
        f"{options.training_line()}, {augmentation}",
        "Kept: the epoch of the lowest validation loss",
    ]


def class_counts(folder: ImageFolder, labels: list[int]) -> dict[str, int]:
    """Count photos by the name of their class."""
    return {name: labels.count(label) for label, name in enumerate(folder.classes)}
