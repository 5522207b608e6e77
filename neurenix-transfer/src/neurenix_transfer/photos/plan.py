"""What a run on photos will train: all that is decided before the first photo is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import neurenix
from neurenix.backends.registry import resolve
from neurenix.graph import check_precision
from neurenix_transfer.photos.layout import PhotoLayout, find_layout
from neurenix_transfer.photos.model_file import (
    PhotoClassifier,
    UnknownBaseError,
    create_base,
    num_features_of,
)
from neurenix_transfer.photos.options import FineTuneOptions
from neurenix_transfer.runs.model_file import new_head, weights_licence
from neurenix_transfer.runs.plan import RunPlan
from neurenix_transfer.runs.training import unfreeze_for
from neurenix_transfer.transfer_model import TransferModel


@dataclass(frozen=True)
class Plan(RunPlan):
    """A run on photos before its first step.

    Attributes:
        options: As they were given.
        classifier: The model to train, with its classes and its preprocessing.
        device: Where it is.
        weights_path: The file of the base's weights.
        layout: The photos.
    """

    options: FineTuneOptions
    classifier: PhotoClassifier
    layout: PhotoLayout


def make_plan(options: FineTuneOptions) -> Plan:
    """Find the photos, load the base, and join it with a new head.

    Raises:
        DeviceError: The device cannot be used.
        PrecisionError: It has no plans of the precision asked for.
        PhotoFolderError: The photos are not as expected.
        UnknownBaseError: There is no such base.
        WeightsFileError: The weights are not the base's.
        UnknownLayerError: ``unfreeze`` names a layer that the base does not have.
    """
    device = resolve(options.device)
    check_precision(device, options.precision)
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
    width = num_features_of(base, options.base)
    model = TransferModel(base, new_head(width, len(layout.classes)))
    unfreeze_for(model, options)
    model.to(device)
    licence = weights_licence(Path(path))
    classifier = PhotoClassifier(
        model, layout.classes, dict(preprocessing), options.base, licence=licence
    )
    return Plan(options, classifier, device, Path(path), layout)
