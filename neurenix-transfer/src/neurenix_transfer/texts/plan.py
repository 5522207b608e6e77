"""What a run on texts will train: everything that is decided before the first step."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import neurenix
from neurenix.backends.registry import resolve
from neurenix.data.text import Tokenizer
from neurenix.models import bert
from neurenix_transfer.photos.model_file import weights_licence
from neurenix_transfer.recipes.layers import EVERY_LAYER
from neurenix_transfer.runs.training import unfreeze_for
from neurenix_transfer.texts.layout import TextLayout, find_layout
from neurenix_transfer.texts.model_file import TextClassifier, text_head
from neurenix_transfer.texts.options import TextOptions
from neurenix_transfer.transfer_model import TransferModel


@dataclass(frozen=True)
class TextPlan:
    """A run before its first step.

    Attributes:
        options: As they were given.
        layout: The texts.
        classifier: The model to train, with its classes and its tokenizer.
        tokenizer: The tokenizer, ready.
        device: Where the model is.
        weights_path: The file of the encoder's weights.
        weights_sha256: Its hash.
    """

    options: TextOptions
    layout: TextLayout
    classifier: TextClassifier
    tokenizer: Tokenizer
    device: neurenix.Device
    weights_path: Path
    weights_sha256: str

    @property
    def trained_parameters(self) -> int:
        """How many numbers are trained, as far as no recipe decides."""
        return sum(p.size for p in self.classifier.model.parameters() if p.requires_grad)

    @property
    def total_parameters(self) -> int:
        """How many numbers the model has."""
        return sum(p.size for p in self.classifier.model.parameters())


def make_plan(options: TextOptions) -> TextPlan:
    """Read the texts, load the encoder, and join it with a new head.

    Raises:
        DeviceError: The device cannot be used.
        TextFileError: The file of texts is not as expected.
        ModelFolderError: The base is no folder of a model.
        PretrainedWeightsError: The base is neither on this machine nor to be had.
        TokenizerMissingError: The base has no tokenizer.
        UnknownLayerError: ``unfreeze`` names a layer that the base does not have.
    """
    device = resolve(options.device)
    layout = find_layout(
        options.texts, options.text_column, options.label_column, options.val_fraction, options.seed
    )
    neurenix.manual_seed(options.seed)
    encoder = bert(options.base)
    assert encoder.weights is not None
    tokenizer = encoder.weights.transforms()
    tokenizer("")  # a tokenizer that cannot be read shows now
    model = TransferModel(encoder, text_head(encoder.num_features, len(layout.classes)))
    unfreeze_for(model, options)
    model.to(device)
    classifier = TextClassifier(
        model,
        layout.classes,
        dict(encoder.weights.preprocessing),
        options.base_name,
        licence=weights_licence(encoder.weights.path),
    )
    with open(encoder.weights.path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    layout.train.transform = layout.val.transform = tokenizer
    return TextPlan(options, layout, classifier, tokenizer, device, encoder.weights.path, sha256)


def plan_lines(plan: TextPlan) -> list[str]:
    """Say in lines of text what was decided."""
    options, layout = plan.options, plan.layout
    classes = f": {', '.join(layout.classes)}" if len(layout.classes) <= 8 else ""
    frozen = "frozen"
    if options.unfreeze:
        frozen = f"frozen but for {', '.join(options.unfreeze)}"
        if EVERY_LAYER in options.unfreeze:
            frozen = "trained as a whole"
    trained = "" if options.recipe else (
        f"; {plan.trained_parameters:,} of {plan.total_parameters:,} parameters are trained"
    )  # fmt: skip
    return [
        f"Texts: {len(layout.train)} to train on, {len(layout.val)} to validate on; "
        f"{len(layout.classes)} classes{classes}",
        *(f"  {note}" for note in layout.notes),
        f"Base: {plan.classifier.base}, {frozen}; weights {plan.weights_path} "
        f"(sha256 {plan.weights_sha256[:12]})",
        f"Head: LayerNorm without affine, then Linear from zero{trained}, on {plan.device}",
        options.training_line(),
        "Kept: the epoch of the lowest validation loss",
    ]
