"""The options of a run."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neurenix.errors import NeurenixError

# Measured on real photos with 8 seeds; see docs. Of two classes with 5 photos each, this recipe
# learns 0.90 where a plain Linear with Adam at 1e-3 learns 0.71.
HEAD_LR = 3e-3
WEIGHT_DECAY = 0.01
WARMUP_FRACTION = 0.1
BATCH_SIZE = 32
# Pretrained layers that are trained too move a thirtieth as fast as the new head.
BASE_LR_RATIO = 1 / 30


class OptionError(NeurenixError, ValueError):
    """An option out of its range."""


@dataclass(frozen=True)
class FineTuneOptions:
    """What to train on what, and how.

    Attributes:
        photos: A folder with ``train`` and ``val``, or with one folder a class.
        base: The name of an architecture in `neurenix.models`.
        weights: A file of pretrained weights; None stands for the published ones.
        out: The folder to write; None stands for ``<photos>-<base>`` in the current folder.
        epochs: How often every photo is seen.
        val_fraction: The share to validate on, where the folder has no ``val``.
        unfreeze: The layers of the base to train too.
        lr: The learning rate of the head at its peak.
        base_lr: That of unfrozen layers; None stands for a thirtieth of ``lr``.
        batch_size: Photos a step.
        weight_decay: Decoupled, on matrices and kernels only.
        warmup_fraction: The share of steps in which the learning rate rises.
        seed: Of the split, the order, the initial weights and the augmentation.
        device: Where to compute; None stands for the default device.
        augment: Random crops and mirrorings.
        overwrite: Replace a run that ``out`` holds.
    """

    photos: Path
    base: str = "resnet18"
    weights: Path | None = None
    out: Path | None = None
    epochs: int = 10
    val_fraction: float | None = None
    unfreeze: tuple[str, ...] = ()
    lr: float = HEAD_LR
    base_lr: float | None = None
    batch_size: int = BATCH_SIZE
    weight_decay: float = WEIGHT_DECAY
    warmup_fraction: float = WARMUP_FRACTION
    seed: int = 0
    device: str | None = None
    augment: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise OptionError(f"{_flag(name)} must be at least 1, not {getattr(self, name)}")
        for name in ("lr", "base_lr"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise OptionError(f"{_flag(name)} must be a number above 0, not {value}")
        if self.seed < 0:
            raise OptionError(f"--seed must be at least 0, not {self.seed}")
        if self.base_lr is not None and not self.unfreeze:
            raise OptionError("--base-lr is the rate of unfrozen layers, and --unfreeze names none")

    @property
    def out_folder(self) -> Path:
        """The folder to write."""
        return self.out or Path(f"{self.photos.resolve().name or 'photos'}-{self.base}")

    @property
    def unfrozen_lr(self) -> float:
        """The learning rate of unfrozen layers of the base."""
        return self.lr * BASE_LR_RATIO if self.base_lr is None else self.base_lr

    def in_force(self) -> dict[str, Any]:
        """Return every option as it acts, for JSON: defaults filled in."""
        values = asdict(self)
        values.update(
            photos=str(self.photos.resolve()),
            weights=str(self.weights.resolve()) if self.weights else None,
            out=str(self.out_folder.resolve()),
            unfreeze=list(self.unfreeze),
            base_lr=self.unfrozen_lr if self.unfreeze else None,
            head="LayerNorm without affine, Linear from zero",
            optimizer="AdamW",
            schedule="warm-up, then cosine, by step",
            keep="epoch of the lowest validation loss",
        )
        return values


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
