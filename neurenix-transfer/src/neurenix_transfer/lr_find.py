"""Finding a learning rate: the loss while the rate is raised from tiny to far too large."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.errors import require
from neurenix.nn import Module
from neurenix.optim import Optimizer
from neurenix_transfer.borrowing import borrowed
from neurenix_transfer.callbacks import Callback, StopTraining
from neurenix_transfer.fine_tune import fine_tune
from neurenix_transfer.numbers import check_positive, check_share

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DIVERGED = 4.0  # times the lowest loss; beyond it nothing is learned about smaller rates
_FEWEST = 5  # points that a slope is read from
_OWN = ("epochs", "callbacks", "scheduler", "verbose", "recipe")


@dataclass(frozen=True)
class LearningRateCurve:
    """The loss at each rate of a sweep.

    Attributes:
        lrs: The rates, of the optimizer's first group; the other groups kept their ratio to it.
        losses: The loss of the batch that was trained at each.
        smoothed: Their moving average.
        diverged: Whether the sweep ended early because the loss exploded.
    """

    lrs: list[float]
    losses: list[float]
    smoothed: list[float]
    diverged: bool

    @property
    def suggestion(self) -> float | None:
        """The rate at which the loss falls fastest, over the logarithm of the rate.

        The slope is that of a line through the losses of a fifth of the sweep, which the noise of
        single batches does not turn; it is looked for up to the lowest smoothed loss. None where
        the loss does not fall, as at rates that are all too small or all too large.
        """
        half = max(_FEWEST // 2, len(self.lrs) // 10)
        lowest = int(np.argmin(self.smoothed)) if self.smoothed else 0
        centres = range(half, min(lowest, len(self.lrs) - half - 1) + 1)
        if not centres:
            return None
        logs = np.log(self.lrs)
        windows = [slice(centre - half, centre + half + 1) for centre in centres]
        slopes = [float(np.polyfit(logs[each], self.losses[each], 1)[0]) for each in windows]
        steepest = int(np.argmin(slopes))
        return self.lrs[centres[steepest]] if slopes[steepest] < 0 else None

    def plot(self, *, save: str | Path | None = None) -> Figure:
        """Draw the curve, with the suggestion marked.

        Args:
            save: A file to write the figure to; its extension says the format. Folders are made.

        Returns:
            A ``matplotlib.figure.Figure``, which a notebook shows.

        Raises:
            MissingDependencyError: Matplotlib is not installed.
        """
        figures = require(
            "matplotlib.figure", install="pip install matplotlib", purpose="drawing curves"
        )
        figure: Figure = figures.Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.lrs, self.losses, ".", color="0.7", markersize=4, label="batch")
        axes.plot(self.lrs, self.smoothed, label="smoothed")
        if self.suggestion is not None:
            label = f"suggestion: {self.suggestion:.2g}"
            axes.axvline(self.suggestion, color="tab:red", linestyle="--", label=label)
        axes.set_xscale("log")
        top, low = max(self.smoothed[0], min(self.smoothed)), min(self.smoothed)
        if top > low:  # an exploding end would flatten everything before it
            axes.set_ylim(low - 0.1 * (top - low), top + 0.5 * (top - low))
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        axes.legend()
        if save is not None:
            Path(save).parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(save)
        return figure


class _Sweep(Callback):
    """Raises the rates by a constant factor a batch, and records the losses."""

    def __init__(
        self, optimizer: Optimizer, start: float, end: float, steps: int, smoothing: float
    ) -> None:
        first = float(optimizer.param_groups[0]["lr"])
        self.ratios = [
            float(group["lr"]) / first if first else 1.0 for group in optimizer.param_groups
        ]
        self.start, self.steps, self.smoothing = start, steps, smoothing
        self.factor = (end / start) ** (1 / (steps - 1))
        self.lrs: list[float] = []
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self.diverged = False
        self._mean = 0.0

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, float]) -> None:
        """Set the rates of this batch."""
        lr = self.start * self.factor ** len(self.lrs)
        for group, ratio in zip(self.optimizer.param_groups, self.ratios, strict=True):
            group["lr"] = lr * ratio

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """Record the loss, and stop where it explodes or the sweep is over."""
        loss = logs["loss"]
        if not math.isfinite(loss):
            self.diverged = True
            raise StopTraining
        self.lrs.append(float(self.start * self.factor ** len(self.lrs)))
        self.losses.append(loss)
        self._mean = self.smoothing * self._mean + (1.0 - self.smoothing) * loss
        # The first losses would count too little: their bias towards 0 is corrected.
        self.smoothed.append(self._mean / (1.0 - self.smoothing ** len(self.losses)))
        lowest = min(self.smoothed)
        self.diverged = self.smoothed[-1] > _DIVERGED * lowest > 0
        if self.diverged or len(self.losses) == self.steps:
            raise StopTraining


def lr_find(
    model: Module,
    optimizer: Optimizer,
    train_data: Any,
    train_labels: Any = None,
    *,
    start_lr: float = 1e-6,
    end_lr: float = 10.0,
    steps: int = 100,
    smoothing: float = 0.9,
    **options: Any,
) -> LearningRateCurve:
    """Try learning rates: train for some steps while the rate is raised exponentially.

    Model, optimizer and random numbers are left bit by bit as they were, also where this is
    interrupted. Where the optimizer has groups, their rates keep their ratios.

    Args:
        model: The model.
        optimizer: Its optimizer.
        train_data: The training data, in any form that `fine_tune` takes.
        train_labels: Their labels.
        start_lr: The first rate.
        end_lr: The last.
        steps: How many rates are tried, a batch each; the data are gone through again as often
            as that takes.
        smoothing: How much of the moving average of the loss is kept from batch to batch.
        **options: What `fine_tune` is going to be given: ``batch_size``, ``loss_fn``, ``seed``,
            ``class_weight`` and so on.

    Returns:
        The curve; its ``suggestion`` is a rate to begin with, and ``plot()`` draws it.

    Raises:
        TypeError: An option is one that a sweep has itself, or none of `fine_tune`.
        ValueError: A rate is not above 0, they do not rise, or there are fewer than 5 steps.

    Examples:
        >>> import neurenix
        >>> from neurenix import nn
        >>> from neurenix.optim import SGD
        >>> from neurenix.transfer import lr_find
        >>> model = nn.Linear(4, 2)
        >>> data, labels = neurenix.randn((32, 4)), [0, 1] * 16
        >>> curve = lr_find(model, SGD(model.parameters(), lr=0.1), data, labels, steps=20)
        >>> len(curve.lrs) <= 20
        True

    Reference:
        Smith, "Cyclical Learning Rates for Training Neural Networks", 2017 (the range test).
    """
    check_positive(start_lr=start_lr, end_lr=end_lr)
    check_share("smoothing", smoothing)
    if not start_lr < end_lr:
        raise ValueError(f"start_lr lies below end_lr; got {start_lr!r} and {end_lr!r}")
    if steps < _FEWEST:
        raise ValueError(f"steps is at least {_FEWEST}; got {steps!r}")
    for name in _OWN:
        if name in options:
            raise TypeError(f"lr_find sets {name} itself; leave it out")
    sweep = _Sweep(optimizer, start_lr, end_lr, steps, smoothing)
    with borrowed(model, optimizer):
        fine_tune(
            model,
            optimizer,
            train_data,
            train_labels,
            epochs=steps,  # at most: the sweep ends the training
            callbacks=[sweep],
            verbose=0,
            **options,
        )
    return LearningRateCurve(sweep.lrs, sweep.losses, sweep.smoothed, sweep.diverged)
