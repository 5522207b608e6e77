"""The picture of a run: how it learnt, what it confuses, and what it is most wrong about."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from neurenix.errors import require
from neurenix.io import atomic_write
from neurenix_transfer.insight.drawing import (
    FAINT,
    INK,
    TRAIN_COLOR,
    VAL_COLOR,
    WRONG_COLOR,
    bare_axes,
    draw_confusion,
    panel_title,
    shortened,
)
from neurenix_transfer.insight.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 150

DrawSamples: TypeAlias = "Callable[[Figure, Any, Report], None]"


@dataclass(frozen=True)
class Report:
    """What the picture shows.

    Attributes:
        title: What was trained on what.
        history: The lists of `fine_tune`.
        best_epoch: The epoch that was kept, counted from 0; None if unknown.
        evaluation: The validation samples beside their predictions.
        noun: What a sample is, such as ``"photo"``.
    """

    title: str
    history: Mapping[str, Sequence[float]]
    best_epoch: int | None
    evaluation: Evaluation
    noun: str


def save_report(path: Path, report: Report, draw_samples: DrawSamples) -> None:
    """Draw the picture and write it as PNG; see `draw_report`."""
    figure = draw_report(report, draw_samples)
    with warnings.catch_warnings():
        # Names in a script that the font lacks show as boxes; that is no reason to fail.
        warnings.filterwarnings("ignore", message="Glyph")
        atomic_write(path, lambda file: figure.savefig(file, format="png", dpi=_DPI))


def draw_report(report: Report, draw_samples: DrawSamples) -> Figure:
    """Draw the picture.

    Args:
        report: What it shows.
        draw_samples: Draws the most wrong samples into the lower half, ``(figure, place, report)``.
    """
    pictures = require(
        "matplotlib.figure", install="pip install matplotlib", purpose="the picture of a run"
    )
    figure: Figure = pictures.Figure(figsize=(12.0, 9.6), facecolor="white")
    grid = figure.add_gridspec(
        2, 1, height_ratios=(1.0, 1.2), left=0.055, right=0.975, top=0.86, bottom=0.065, hspace=0.3
    )
    upper = grid[0].subgridspec(1, 3, width_ratios=(1.0, 1.0, 0.92), wspace=0.3)
    _draw_heading(figure, report)
    _draw_curves(figure.add_subplot(upper[0]), report, "loss", "Loss")
    _draw_curves(figure.add_subplot(upper[1]), report, "accuracy", "Accuracy")
    draw_confusion(figure.add_subplot(upper[2]), report.evaluation)
    draw_samples(figure, grid[1], report)
    return figure


def most_wrong(report: Report, most: int) -> tuple[list[int], str]:
    """Return the samples to show, the most wrong first, and what they are.

    Args:
        report: The report.
        most: How many to show.
    """
    evaluation, noun = report.evaluation, report.noun
    shown = evaluation.most_wrong(most)
    wrong = evaluation.total - evaluation.correct
    if not shown:
        certainty = evaluation.probabilities.max(axis=1)
        shown = [int(index) for index in certainty.argsort(kind="stable")[:most]]
        return shown, f"No {noun} is wrong; these are the least certain"
    if wrong == 1:
        return shown, f"The only wrong {noun}"
    if wrong == len(shown):
        return shown, f"The {wrong} wrong {noun}s, the most wrong first"
    return shown, f"The {len(shown)} most wrong {noun}s of {wrong} wrong ones"


def draw_answer(
    axes: Axes, report: Report, index: int, places: Sequence[tuple[float, float]], **style: Any
) -> None:
    """Write what a sample was taken for, and what it is.

    Args:
        axes: Where.
        report: The report.
        index: The number of the sample.
        places: Where the one and the other begin.
        **style: What else `matplotlib.axes.Axes.text` takes.
    """
    evaluation = report.evaluation
    predicted, truth = int(evaluation.predicted[index]), int(evaluation.labels[index])
    share = 100 * evaluation.probabilities[index, predicted]
    answer = f"{shortened(evaluation.classes[predicted], 16)} {share:.0f} %"
    color = VAL_COLOR if predicted == truth else WRONG_COLOR
    axes.text(*places[0], answer, weight="bold", color=color, parse_math=False, **style)
    known = f"truth: {shortened(evaluation.classes[truth], 22)}"
    axes.text(*places[1], known, color=FAINT, parse_math=False, **style)


def _draw_heading(figure: Figure, report: Report) -> None:
    evaluation = report.evaluation
    low, high = evaluation.interval
    figure.text(
        0.055,
        0.955,
        report.title,
        size=17,
        weight="bold",
        color=INK,
        va="center",
        parse_math=False,
    )
    figure.text(
        0.055,
        0.917,
        f"Validation accuracy {_percent(evaluation.accuracy)}, {evaluation.correct} of "
        f"{evaluation.total} {report.noun}s (95 % interval {_percent(low)} to "
        f"{_percent(high)}), "
        f"balanced accuracy {_percent(evaluation.balanced_accuracy)}",
        size=11.5,
        color=FAINT,
        va="center",
    )


def _draw_curves(axes: Axes, report: Report, quantity: str, title: str) -> None:
    panel_title(axes, title)
    bare_axes(axes)
    for name, color in (("train", TRAIN_COLOR), ("val", VAL_COLOR)):
        values = report.history.get(f"{name}_{quantity}") or []
        if not len(values):
            continue
        epochs = np.arange(1, len(values) + 1)
        axes.plot(
            epochs,
            values,
            color=color,
            lw=2.2,
            marker="o",
            ms=4 if len(values) > 1 else 7,
            label={"train": "training", "val": "validation"}[name],
            solid_capstyle="round",
        )
    best = report.best_epoch
    measured = report.history.get(f"val_{quantity}") or []
    if best is not None and 0 <= best < len(measured):
        axes.axvline(best + 1, color=INK, lw=0.9, ls=(0, (2, 3)), zorder=0)
        axes.plot(best + 1, measured[best], "o", ms=10, mfc="none", mec=INK, mew=1.4)
        if quantity == "loss":
            side = "right" if best + 1 > len(measured) / 2 else "left"
            axes.annotate(
                f"epoch {best + 1} is kept",
                (best + 1, 1.0),
                (-5 if side == "right" else 5, -3),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                size=9,
                color=INK,
                ha=side,
                va="top",
            )
    count = max((len(values) for values in report.history.values()), default=1)
    axes.set_xlim(0.5, max(count, 1) + 0.5)
    axes.set_xlabel("epoch", color=FAINT)
    axes.locator_params(axis="x", integer=True)
    if quantity == "accuracy":
        low, _ = axes.get_ylim()
        axes.set_ylim(min(low, 0.9), 1.0 + (1.0 - min(low, 0.9)) * 0.04)
        axes.yaxis.set_major_formatter(
            lambda value, _: f"{100 * value:.0f} %" if value <= 1.001 else ""
        )
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1.03, 1.0),
            ncols=2,
            frameon=False,
            labelcolor=INK,
            fontsize=9.5,
            handlelength=1.4,
            columnspacing=1.2,
            borderaxespad=0.35,
        )
    else:
        axes.set_ylim(bottom=0)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
