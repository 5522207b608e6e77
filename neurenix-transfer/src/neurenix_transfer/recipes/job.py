"""What a recipe is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neurenix.errors import NeurenixError
from neurenix.nn import Module
from neurenix_transfer.cache import CacheOptions, StoredSamples
from neurenix_transfer.cache.precision import check_frozen_precision
from neurenix_transfer.checking import CheckedData, DataError, check_data, check_same_shape
from neurenix_transfer.layer_names import LayerNames
from neurenix_transfer.padding import padding_for
from neurenix_transfer.progress import Progress


class RecipeError(NeurenixError, ValueError):
    """A recipe that cannot be followed with this model, or with these options."""


@dataclass(frozen=True)
class Job:
    """A model, data, and how to train.

    Attributes:
        model: The model.
        train_data: As for `fine_tune`; so are the next three.
        train_labels: The same.
        val_data: The same.
        val_labels: The same.
        epochs: The number of epochs in which gradients are followed.
        batch_size: Samples a step.
        unfreeze: The layers of the base that may learn; None leaves it to the recipe.
        lr: The highest learning rate of the head; None leaves it to the recipe.
        base_lr: That of the last layer of the base.
        seed: What everything random depends on.
        restore_best: Whether the best weights are put back at the end.
        verbose: 0, 1 or 2, as for `fine_tune`.
        options: What else `fine_tune` takes.
    """

    model: Module
    train_data: Any
    train_labels: Any = None
    val_data: Any = None
    val_labels: Any = None
    epochs: int = 10
    batch_size: int = 32
    unfreeze: LayerNames | None = None
    lr: float | None = None
    base_lr: float | None = None
    seed: int = 0
    restore_best: bool | None = None
    verbose: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what needs no data."""
        if not isinstance(self.model, Module):
            raise TypeError(f"model is a Module, not {self.model!r}")
        if self.val_data is None and self.val_labels is not None:
            raise DataError("val_labels came without val_data; pass both or neither")
        for name in ("lr", "base_lr"):
            rate = getattr(self, name)
            if rate is not None and not rate > 0:
                raise ValueError(f"{name} is greater than 0, not {rate}")
        check_frozen_precision(self.model, self.options.get("precision", "float32"))

    @property
    def keeps_best(self) -> bool:
        """Whether the best weights are put back, by what is asked for or by early stopping."""
        if self.restore_best is not None:
            return self.restore_best
        return bool(self.options.get("early_stopping", False))

    def say(self, line: str) -> None:
        """Print a line, unless nothing is to be printed."""
        Progress(self.verbose, self.epochs).say(line)

    @property
    def cache(self) -> CacheOptions:
        """What is asked of the feature cache, where no input is blended."""
        asked = self.options
        return CacheOptions(
            asked.get("cache", "auto"),
            asked.get("cache_bytes"),
            precision=asked.get("precision", "float32"),
        )

    def checked(
        self, stored: StoredSamples | None = None
    ) -> tuple[CheckedData, CheckedData | None]:
        """Return the training and the validation data, checked, in their own order.

        Args:
            stored: Tells which samples need not be read, for their features are on disk.

        Raises:
            DataError: They do not fit together.
        """
        shared = (self.batch_size, False, self.seed, stored, padding_for(self.model))
        train = check_data(self.train_data, self.train_labels, "train", *shared)
        if self.val_data is None:
            return train, None
        val = check_data(self.val_data, self.val_labels, "val", *shared)
        check_same_shape(train, val)
        return train, val

    def train(self, optimizer: Any, **options: Any) -> Any:
        """Call `fine_tune` with all of this; ``options`` come before those of the job."""
        from neurenix_transfer.fine_tune import fine_tune

        return fine_tune(
            self.model,
            optimizer,
            self.train_data,
            self.train_labels,
            self.val_data,
            self.val_labels,
            epochs=self.epochs,
            batch_size=self.batch_size,
            seed=self.seed,
            restore_best=self.restore_best,
            verbose=self.verbose,
            **{**self.options, **options},
        )
