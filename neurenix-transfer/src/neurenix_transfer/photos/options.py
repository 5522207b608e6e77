"""The options of a run on photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurenix_transfer.runs.options import RunOptions


@dataclass(frozen=True, kw_only=True)
class FineTuneOptions(RunOptions):
    """What to train on which photos, and how.

    Attributes:
        photos: A folder with ``train`` and ``val``, or with one folder a class.
        base: The name of an architecture in `neurenix.models`.
        weights: A file of pretrained weights; None stands for the published ones.
        augment: Random crops and mirrorings.
    """

    photos: Path
    base: str = "resnet18"
    weights: Path | None = None
    augment: bool = False

    @property
    def card_base(self) -> str:
        """What others find the base by: its name."""
        return self.base

    @property
    def out_folder(self) -> Path:
        """The folder to write."""
        return self.out or Path(f"{self.photos.resolve().name or 'photos'}-{self.base}")

    def training_line(self) -> str:
        """Say how the training goes."""
        augmentation = "no augmentation"
        if self.augment:
            augmentation = (
                "augmentation on: random crops and mirrorings, other ones each epoch, so that the "
                "feature cache is off"
            )
        return f"{super().training_line()}, {augmentation}"

    def in_force(self) -> dict[str, Any]:
        """Return every option as it acts, for JSON: defaults filled in."""
        return {
            **super().in_force(),
            "photos": str(self.photos.resolve()),
            "weights": str(self.weights.resolve()) if self.weights else None,
        }
