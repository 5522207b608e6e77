"""The options that every run has."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neurenix.errors import NeurenixError
from neurenix.graph import PRECISIONS, PrecisionName
from neurenix_transfer.cache.store import CACHE_MODES, CacheMode
from neurenix_transfer.recipes.adapt import RECIPES, Recipe

# Measured on real photos with 8 seeds; see docs. Of two classes with 5 photos each, this recipe
# learns 0.90 where a plain Linear with Adam at 1e-3 learns 0.71.
HEAD_LR = 3e-3
WEIGHT_DECAY = 0.01
WARMUP_FRACTION = 0.1
BATCH_SIZE = 32
# Pretrained layers that are trained too move a thirtieth as fast as the new head.
BASE_LR_RATIO = 1 / 30

_FOLLOWED = "the recipe's"


class OptionError(NeurenixError, ValueError):
    """An option out of its range."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How to train.

    Attributes:
        out: The folder to write; None stands for one in the current folder.
        epochs: How often every sample is seen.
        val_fraction: The share to validate on, where the data bring no split.
        recipe: One of `neurenix_transfer.recipes`; None trains the head, and what ``unfreeze``
            names, as the attributes below say.
        unfreeze: The layers of the base to train too.
        lr: The learning rate of the head at its peak.
        base_lr: That of unfrozen layers; None stands for a thirtieth of ``lr``.
        batch_size: Samples a step.
        weight_decay: Decoupled, on matrices and kernels only.
        warmup_fraction: The share of steps in which the learning rate rises.
        seed: Of the split, the order, the initial weights and the augmentation.
        device: Where to compute; None stands for the default device.
        cache: Where the frozen part's results are kept, as for `fine_tune`.
        precision: What the frozen part computes in, as for `fine_tune`.
        checkpoints: A folder to save the whole state of the training to, after each epoch.
        resume: Go on from the newest checkpoint there.
        overwrite: Replace a run that ``out`` holds.
    """

    out: Path | None = None
    epochs: int = 10
    val_fraction: float | None = None
    recipe: Recipe | None = None
    unfreeze: tuple[str, ...] = ()
    lr: float = HEAD_LR
    base_lr: float | None = None
    batch_size: int = BATCH_SIZE
    weight_decay: float = WEIGHT_DECAY
    warmup_fraction: float = WARMUP_FRACTION
    seed: int = 0
    device: str | None = None
    cache: CacheMode = "auto"
    precision: PrecisionName = "float32"
    checkpoints: Path | None = None
    resume: bool = False
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
        if self.resume and self.checkpoints is None:
            raise OptionError(
                "--resume goes on from a checkpoint: name their folder, --checkpoints"
            )
        if self.cache not in CACHE_MODES:
            raise OptionError(f"--cache is one of {', '.join(CACHE_MODES)}, not {self.cache!r}")
        if self.precision not in PRECISIONS:
            raise OptionError(
                f"--precision is one of {', '.join(PRECISIONS)}, not {self.precision!r}"
            )
        if self.recipe is not None and self.recipe not in RECIPES:
            raise OptionError(f"--recipe is one of {', '.join(RECIPES)}, not {self.recipe!r}")
        if self.base_lr is not None and not self.unfreeze and self.recipe in (None, "probe"):
            raise OptionError("--base-lr is the rate of unfrozen layers, and --unfreeze names none")
        if self.unfreeze and self.recipe == "probe":
            raise OptionError(
                "--recipe probe leaves the base as it is, so that --unfreeze has no meaning; leave "
                "it out, or take --recipe lp-ft"
            )

    @property
    def out_folder(self) -> Path:
        """The folder to write."""
        return self.out or Path("run")

    @property
    def card_base(self) -> str:
        """What others find the base by."""
        raise NotImplementedError

    @property
    def unfrozen_lr(self) -> float:
        """The learning rate of unfrozen layers of the base."""
        return self.lr * BASE_LR_RATIO if self.base_lr is None else self.base_lr

    def training_line(self) -> str:
        """Say how the training goes."""
        narrow = "" if self.precision == "float32" else f", frozen part in {self.precision}"
        if self.recipe is not None:
            layers = f", {', '.join(self.unfreeze)} may learn" if self.unfreeze else ""
            return (
                f"Training: recipe {self.recipe}{layers}; batch {self.batch_size}, seed {self.seed}"
                f"{narrow}"
            )
        rates = f"{self.lr:g}" + (
            f" (head), {self.unfrozen_lr:.3g} (base)" if self.unfreeze else ""
        )
        return (
            f"Training: AdamW {rates}, weight decay {self.weight_decay:g} on matrices only, "
            f"{100 * self.warmup_fraction:g} % warm-up, then cosine; batch {self.batch_size}, "
            f"seed {self.seed}{narrow}"
        )

    def in_force(self) -> dict[str, Any]:
        """Return every option as it acts, for JSON: defaults filled in."""
        values = asdict(self)
        followed = self.recipe is not None
        values.update(
            out=str(self.out_folder.resolve()),
            checkpoints=str(self.checkpoints.resolve()) if self.checkpoints else None,
            unfreeze=list(self.unfreeze),
            base_lr=self.unfrozen_lr if self.unfreeze and not followed else self.base_lr,
            head="LayerNorm without affine, Linear from zero",
            optimizer=_FOLLOWED if followed else "AdamW",
            schedule=_FOLLOWED if followed else "warm-up, then cosine, by step",
            keep="epoch of the lowest validation loss",
        )
        return values


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
