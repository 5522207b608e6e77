"""The picture of a run: how it learnt, what it confuses, and the photos it is most wrong about."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from neurenix.errors import require
from neurenix.io import atomic_write
from neurenix_transfer.insight.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN_COLOR = "#8a94a6"
VAL_COLOR = "#1f6f8b"
WRONG_COLOR = "#c2452d"
INK = "#22303c"
FAINT = "#5f6b7a"

_COLUMNS = 6  # photos a row
_ROWS = 2
_MOST_NAMED = 24  # classes whose names still fit beside the matrix
_MOST_COUNTED = 12  # classes whose counts still fit into the cells
_DPI = 150


DrawSamples: TypeAlias = "Callable[[Figure, Any, Report], None]"


@dataclass(frozen=True)
class Report:
    """What the picture shows.

    Attributes:
        title: What was trained on what.
        history: The lists of `fine_tune`.
        best_epoch: The epoch that was kept, counted from 0; None if unknown.
        evaluation: The validation photos beside their predictions.
        photos: Their pixels, (H, W, 3) bytes each, where they are photos.
        noun: What the samples are.
    """

    title: str
    history: Mapping[str, Sequence[float]]
    best_epoch: int | None
    evaluation: Evaluation
    photos: Sequence[npt.NDArray[np.uint8]] = ()
    noun: str = "photos"


def save_report(path: Path, report: Report, draw_samples: DrawSamples | None = None) -> None:
    """Draw the picture and write it as PNG; see `draw_report`."""
    figure = draw_report(report, draw_samples)
    with warnings.catch_warnings():
        # Names in a script that the font lacks show as boxes; that is no reason to fail.
        warnings.filterwarnings("ignore", message="Glyph")
        atomic_write(path, lambda file: figure.savefig(file, format="png", dpi=_DPI))


def draw_report(report: Report, draw_samples: DrawSamples | None = None) -> Figure:
    """Draw the picture.

    Args:
        report: What it shows.
        draw_samples: Draws the most wrong samples into the lower half, ``(figure, place, report)``;
            by default as photos.
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
    (draw_samples or _draw_photos)(figure, grid[1], report)
    return figure


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
        f"{evaluation.total} {report.noun} (95 % interval {_percent(low)} to "
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


def confusion_figure(evaluation: Evaluation) -> Figure:
    """Return the confusion matrix as a figure of its own."""
    pictures = require(
        "matplotlib.figure", install="pip install matplotlib", purpose="drawing a confusion matrix"
    )
    size = 3.2 + 0.42 * min(len(evaluation.classes), _MOST_NAMED)
    figure: Figure = pictures.Figure((size, size), facecolor="white", layout="constrained")
    draw_confusion(figure.subplots(), evaluation)
    return figure


def draw_confusion(axes: Axes, evaluation: Evaluation) -> None:
    """Draw the confusion matrix: counts, coloured by the share of the true class."""
    counts, classes = evaluation.confusion, evaluation.classes
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    panel_title(axes, "Confusion")
    axes.imshow(shares, cmap=_blues(), vmin=0.0, vmax=1.0, aspect="equal")
    axes.set_anchor("NW")
    axes.set_xlabel("predicted", color=FAINT)
    axes.set_ylabel("true", color=FAINT)
    size = 10.0 if len(classes) <= 6 else 7.5 if len(classes) <= 14 else 6.0
    if len(classes) <= _MOST_NAMED:
        names = [_shortened(name, 18) for name in classes]
        long = max(len(name) for name in names) * len(classes) > 36
        axes.set_xticks(range(len(classes)))
        axes.set_xticklabels(
            names,
            size=size,
            rotation=45 if long else 0,
            ha="right" if long else "center",
            rotation_mode="anchor" if long else None,
            parse_math=False,
        )
        axes.set_yticks(range(len(classes)))
        axes.set_yticklabels(names, size=size, parse_math=False)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    if len(classes) <= _MOST_COUNTED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if shares[row, column] > 0.5 else INK
                weight = "bold" if row == column else "normal"
                axes.text(
                    column,
                    row,
                    str(count),
                    ha="center",
                    va="center",
                    color=color,
                    weight=weight,
                    size=15 if len(classes) <= 3 else size + 1,
                )
    axes.tick_params(length=0, colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_photos(figure: Figure, place: Any, report: Report) -> None:
    evaluation = report.evaluation
    shown, title = wrong_title(evaluation, _COLUMNS * _ROWS, "photo")
    heading = figure.add_subplot(place)
    heading.axis("off")
    panel_title(heading, title)
    cells = place.subgridspec(_ROWS, _COLUMNS, hspace=0.34, wspace=0.08)
    for position, index in enumerate(shown):
        axes = figure.add_subplot(cells[position // _COLUMNS, position % _COLUMNS])
        axes.imshow(_square(report.photos[index]))
        axes.set_anchor("NW")
        axes.set_xticks([])
        axes.set_yticks([])
        predicted = int(evaluation.predicted[index])
        is_wrong = predicted != int(evaluation.labels[index])
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.text(
            0.0,
            -0.045,
            f"{_shortened(evaluation.classes[predicted], 16)} "
            f"{100 * evaluation.probabilities[index, predicted]:.0f} %",
            transform=axes.transAxes,
            va="top",
            size=9.5,
            weight="bold",
            color=WRONG_COLOR if is_wrong else VAL_COLOR,
            parse_math=False,
        )
        axes.text(
            0.0,
            -0.165,
            f"truth: {_shortened(evaluation.classes[evaluation.labels[index]], 22)}",
            transform=axes.transAxes,
            va="top",
            size=9,
            color=FAINT,
            parse_math=False,
        )


def wrong_title(evaluation: Evaluation, most: int, noun: str) -> tuple[list[int], str]:
    """Return the samples to show of an evaluation, the most wrong first, and what they are.

    Args:
        evaluation: The evaluation.
        most: How many to show.
        noun: What a sample is, such as ``"photo"``.
    """
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


def bare_axes(axes: Axes) -> None:
    """Leave of a plot's frame only what one reads values from."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#c9d1da")
    axes.grid(axis="y", color="#e8ecf0", lw=1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=FAINT, labelsize=9)


def panel_title(axes: Axes, text: str) -> None:
    """Write the title of a panel."""
    axes.set_title(text, loc="left", size=12.5, weight="bold", color=INK, pad=9, parse_math=False)


def _blues() -> Any:
    colors = require("matplotlib.colors", install="pip install matplotlib", purpose="colours")
    return colors.LinearSegmentedColormap.from_list("neurenix", ("#f3f6f8", VAL_COLOR))


def _square(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _shortened(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
