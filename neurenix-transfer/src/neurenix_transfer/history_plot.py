"""The curves of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurenix.errors import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neurenix_transfer.history import History


def plot_history(history: History, save: str | Path | None) -> Figure:
    """Draw a history; see `History.plot`."""
    figures = require(
        "matplotlib.figure", install="pip install matplotlib", purpose="drawing curves"
    )
    if not history.epochs:
        raise ValueError("there is nothing to draw: no epoch was recorded")
    quantities = ["loss", *history.metrics]
    figure: Figure = figures.Figure(figsize=(5.2 * len(quantities), 3.8), layout="constrained")
    tiles = figure.subplots(1, len(quantities), squeeze=False)[0]
    for quantity, axes in zip(quantities, tiles, strict=True):
        _draw(history, quantity, axes)
    if save is not None:
        Path(save).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(save)
    return figure


def _draw(history: History, quantity: str, axes: Any) -> None:
    for part, label in (("train", "training"), ("val", "validation")):
        values = history.get(f"{part}_{quantity}", [])
        if values:
            epochs = range(1, len(values) + 1)
            axes.plot(epochs, values, marker="o", markersize=3, label=label)
    if history.best_epoch is not None:
        best = history.best_epoch + 1
        axes.axvline(best, color="0.5", linestyle="--", label=f"best epoch: {best}")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("epoch")
    axes.set_ylabel(quantity.replace("_", " "))
    axes.legend()
