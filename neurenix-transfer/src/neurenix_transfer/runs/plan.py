"""What is decided before the first step of a run, whatever it trains on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import neurenix
from neurenix_transfer.recipes.layers import EVERY_LAYER
from neurenix_transfer.runs.model_file import Classifier
from neurenix_transfer.runs.options import RunOptions

_NAMED = 8  # classes that are named in a line


class RunLayout(Protocol):
    """Which samples a run trains and validates on; ``notes`` and ``warnings`` are printed."""

    @property
    def train(self) -> Sized:
        """Those to train on."""
        ...

    @property
    def val(self) -> Sized:
        """Those to validate on."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What was decided of them."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What may be wrong with them."""
        ...


@dataclass(frozen=True)
class RunPlan:
    """A run before its first step.

    Attributes:
        options: As they were given.
        classifier: The model to train, with what belongs to it.
        device: Where the model is.
        weights_path: The file of the base's weights.
        layout: The samples.
    """

    options: RunOptions
    classifier: Classifier
    device: neurenix.Device
    weights_path: Path
    layout: RunLayout

    @property
    def trained_parameters(self) -> int:
        """How many numbers are trained, as far as no recipe decides."""
        return sum(p.size for p in self.classifier.model.parameters() if p.requires_grad)

    @property
    def total_parameters(self) -> int:
        """How many numbers the model has."""
        return sum(p.size for p in self.classifier.model.parameters())

    @cached_property
    def weights_sha256(self) -> str:
        """The hash of the base's weights."""
        with open(self.weights_path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def lines(self, noun: str) -> list[str]:
        """Say in lines of text what was decided.

        Args:
            noun: What a sample is, such as ``"photo"``.
        """
        options, classes, layout = self.options, self.classifier.classes, self.layout
        named = f"{len(classes)} classes"
        if len(classes) <= _NAMED:
            named += f": {', '.join(classes)}"
        trained = ""
        if options.recipe is None:
            trained = (
                f"; {self.trained_parameters:,} of {self.total_parameters:,} parameters are trained"
            )
        return [
            f"{noun.capitalize()}s: {len(layout.train)} to train on, {len(layout.val)} to "
            f"validate on; {named}",
            *(f"  {note}" for note in layout.notes),
            f"Base: {self.classifier.base}, {_frozen(options.unfreeze)}; weights "
            f"{self.weights_path} (sha256 {self.weights_sha256[:12]})",
            f"Head: LayerNorm without affine, then Linear from zero{trained}, on {self.device}",
            options.training_line(),
            "Kept: the epoch of the lowest validation loss",
        ]


def _frozen(unfreeze: Sequence[str]) -> str:
    if EVERY_LAYER in unfreeze:
        return "trained as a whole"
    return f"frozen but for {', '.join(unfreeze)}" if unfreeze else "frozen"
