"""The picture of the demo: curves on the left, confusion and misread digits on the right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.errors import require
from neurenix.io import atomic_write
from neurenix_transfer.demo.experiment import PER_CLASS, Curve, Draw
from neurenix_transfer.insight.drawing import (
    FAINT,
    INK,
    TRAIN_COLOR,
    VAL_COLOR,
    WRONG_COLOR,
    bare_axes,
    draw_confusion,
    panel_title,
)
from neurenix_transfer.insight.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DIGITS = 10
_COLUMNS = 5
_DPI = 150


def save_picture(path: Path, draws: Sequence[Draw], names: tuple[str, ...]) -> None:
    """Draw the picture and write it as PNG."""
    figure = draw_picture(draws, names)
    atomic_write(path, lambda file: figure.savefig(file, format="png", dpi=_DPI))


def draw_picture(draws: Sequence[Draw], names: tuple[str, ...]) -> Figure:
    """Draw the picture."""
    pictures = require(
        "matplotlib.figure", install='pip install "neurenix[demo]"', purpose="the picture"
    )
    figure: Figure = pictures.Figure(figsize=(12.0, 7.6), facecolor="white")
    left = figure.add_gridspec(2, 1, left=0.055, right=0.52, top=0.835, bottom=0.075, hspace=0.42)
    right = figure.add_gridspec(
        2, 1, left=0.6, right=0.985, top=0.835, bottom=0.075, hspace=0.3, height_ratios=(1.15, 1.0)
    )
    scratch, transfer = ([draw.scratch for draw in draws], [draw.transfer for draw in draws])
    _draw_heading(figure, draws)
    for place, quantity, title in (
        (left[0], "accuracy", "Accuracy on digits not seen"),
        (left[1], "loss", "Loss on digits not seen"),
    ):
        axes = figure.add_subplot(place)
        panel_title(axes, title)
        bare_axes(axes)
        for curves, color, label in (
            (scratch, TRAIN_COLOR, "from scratch"),
            (transfer, VAL_COLOR, "with transfer"),
        ):
            _draw_band(axes, curves, quantity, color, label)
        axes.set_xlim(0.5, scratch[0].epochs[-1] + 0.5)
        axes.set_xlabel("epoch", color=FAINT)
        axes.locator_params(axis="x", integer=True)
        if quantity == "accuracy":
            axes.set_ylim(0, 1.02)
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
            axes.legend(loc="lower right", frameon=False, labelcolor=INK, fontsize=10)
        else:
            axes.set_ylim(bottom=0)
    evaluation = Evaluation(
        names,
        np.concatenate([draw.test.labels for draw in draws]),
        np.concatenate([draw.transfer.probabilities for draw in draws]),
        (),
    )
    axes = figure.add_subplot(right[0])
    draw_confusion(axes, evaluation)
    panel_title(axes, "Confusion with transfer, all draws")
    _draw_errors(figure, scratch, transfer)
    images = np.concatenate([draw.test.images[:, 0] for draw in draws])
    _draw_misread(figure, right[1], evaluation, images)
    return figure


def _draw_heading(figure: Figure, draws: Sequence[Draw]) -> None:
    scratch, transfer = (
        100 * np.mean([curve.accuracy[-1] for curve in curves])
        for curves in ([draw.scratch for draw in draws], [draw.transfer for draw in draws])
    )
    figure.text(
        0.055,
        0.945,
        f"Handwritten digits 5 to 9 from {PER_CLASS} examples each",
        size=17,
        weight="bold",
        color=INK,
        va="center",
    )
    figure.text(
        0.055,
        0.9,
        f"A small ResNet reads {transfer:.1f} % right when it has learnt 0 to 4 before, "
        f"{scratch:.1f} % when it starts from scratch (mean of {len(draws)} draws of examples)",
        size=11.5,
        color=FAINT,
        va="center",
    )


def _draw_errors(figure: Figure, scratch: Sequence[Curve], transfer: Sequence[Curve]) -> None:
    """Say beside the matrix how many digits of 100 each way misreads."""
    for height, curves, color, label in (
        (0.76, scratch, TRAIN_COLOR, "from scratch"),
        (0.66, transfer, VAL_COLOR, "with transfer"),
    ):
        misread = 100 - 100 * float(np.mean([curve.accuracy[-1] for curve in curves]))
        figure.text(0.862, height, f"{misread:.1f}", size=24, weight="bold", color=color)
        figure.text(0.862, height - 0.027, label, size=10, color=FAINT)
    figure.text(0.862, 0.81, "misread of 100", size=10, color=INK)


def _draw_band(axes: Axes, curves: Sequence[Curve], quantity: str, color: str, label: str) -> None:
    """Draw the mean of several curves, and the span from the lowest to the highest."""
    values = np.array([getattr(curve, quantity) for curve in curves])
    epochs = curves[0].epochs
    axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=color, alpha=0.18, lw=0)
    axes.plot(epochs, values.mean(axis=0), color=color, lw=2.2, marker="o", ms=4, label=label)


def _draw_misread(figure: Figure, place: Any, evaluation: Evaluation, images: Any) -> None:
    heading = figure.add_subplot(place)
    heading.axis("off")
    panel_title(heading, "The most wrong digits")
    shown = _distinct(evaluation.most_wrong(evaluation.total), images)[:_DIGITS]
    cells = place.subgridspec(_DIGITS // _COLUMNS, _COLUMNS, hspace=0.42, wspace=0.25)
    for position, index in enumerate(shown):
        axes = figure.add_subplot(cells[position // _COLUMNS, position % _COLUMNS])
        axes.imshow(1.0 - images[index], cmap="gray", vmin=0, vmax=1)
        axes.set_anchor("NW")
        axes.axis("off")
        predicted = int(evaluation.predicted[index])
        axes.text(
            0.0,
            -0.06,
            f"{evaluation.classes[predicted]}",
            transform=axes.transAxes,
            va="top",
            size=9.5,
            weight="bold",
            color=WRONG_COLOR,
        )
        axes.text(
            1.0,
            -0.06,
            f"truth: {evaluation.classes[evaluation.labels[index]]}",
            transform=axes.transAxes,
            va="top",
            ha="right",
            size=9,
            color=FAINT,
        )


def _distinct(indices: Sequence[int], images: Any) -> list[int]:
    """Keep the first of several equal images: draws share most of the digits they are tested on."""
    seen: dict[bytes, int] = {}
    for index in indices:
        seen.setdefault(images[index].tobytes(), index)
    return list(seen.values())
