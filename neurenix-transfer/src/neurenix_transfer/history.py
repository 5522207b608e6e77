"""The record of a training run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neurenix_transfer.cache.saving import Saving


class History(dict[str, list[float]]):
    """What each epoch of a training run measured: one list of floats a quantity.

    The keys are ``train_loss``, ``val_loss`` (empty without validation data), ``train_accuracy``
    and ``val_accuracy`` (or ``train_mae`` and ``val_mae``), ``lr`` and ``epoch_time`` in seconds.

    Args:
        metric: ``"accuracy"``, ``"mae"``, or None where neither makes sense.
        has_validation: Whether there are validation data.
        further_metrics: The names of what else is measured, with ``train_`` and ``val_`` lists.

    Attributes:
        best_epoch: The index, into the lists, of the epoch with the lowest ``val_loss`` (without
            validation, ``train_loss``), or the one that a callback chose and restored; None
            before the first epoch and where all are NaN.
        restored: Whether the model was given back the weights of ``best_epoch``.
        stopped_early: Whether fewer epochs were run than asked for.
        metric: The metric's name.
        metrics: The names of all metrics, that one first.
        validated: Whether there are validation data.
        monitor: The quantity that ``best_epoch`` goes by.
        phases: What was done in each epoch, where a recipe did one thing after another, such as
            ``"probe"`` and ``"fine-tune"``; empty otherwise.
        recipe: The recipe that was followed; None without one.
        reason: Why, where ``recipe="auto"`` chose it.
        saving: What the feature cache saved; None where there was none to ask.
    """

    def __init__(
        self,
        metric: str | None = None,
        has_validation: bool = False,
        further_metrics: Sequence[str] = (),
    ) -> None:
        metrics = [*([metric] if metric else []), *further_metrics]
        keys = [f"{part}_{name}" for name in metrics for part in ("train", "val")]
        super().__init__({key: [] for key in ("train_loss", "val_loss", *keys, "lr", "epoch_time")})
        self.metric = metric
        self.metrics = metrics
        self.validated = has_validation
        self.monitor = "val_loss" if has_validation else "train_loss"
        self.best_epoch: int | None = None
        self.restored = False
        self.stopped_early = False
        self.phases: list[str] = []
        self.recipe: str | None = None
        self.reason: str | None = None
        self.saving: Saving | None = None

    @property
    def epochs(self) -> int:
        """The number of epochs recorded."""
        return len(self["train_loss"])

    def record(self, values: dict[str, float]) -> None:
        """Add what an epoch measured, and see whether it is the best so far."""
        for key, value in values.items():
            self.setdefault(key, []).append(float(value))
        value = self[self.monitor][-1]
        best = math.inf if self.best_epoch is None else self[self.monitor][self.best_epoch]
        if value < best:  # never true of NaN
            self.best_epoch = self.epochs - 1

    def plot(self, *, save: str | Path | None = None) -> Figure:
        """Draw the loss and every metric over the epochs, with the best epoch marked.

        Args:
            save: A file to write the figure to; its extension says the format. Folders are made.

        Returns:
            A ``matplotlib.figure.Figure``, which a notebook shows.

        Raises:
            MissingDependencyError: Matplotlib is not installed.
            ValueError: No epoch was recorded.
        """
        from neurenix_transfer.history_plot import plot_history

        return plot_history(self, save)

    def last(self) -> dict[str, float]:
        """Return the newest value of every quantity that has one."""
        return {key: values[-1] for key, values in self.items() if values}
