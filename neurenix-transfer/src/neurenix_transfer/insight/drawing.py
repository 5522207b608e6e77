"""What the pictures of runs look like, and the confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.errors import require
from neurenix_transfer.insight.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN_COLOR = "#8a94a6"
VAL_COLOR = "#1f6f8b"
WRONG_COLOR = "#c2452d"
INK = "#22303c"
FAINT = "#5f6b7a"

_MOST_NAMED = 24  # classes whose names still fit beside the matrix
_MOST_COUNTED = 12  # classes whose counts still fit into the cells


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
        names = [shortened(name, 18) for name in classes]
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


def shortened(name: str, length: int) -> str:
    """Return a name that is no longer than so many characters."""
    return name if len(name) <= length else name[: length - 1] + "…"


def _blues() -> Any:
    colors = require("matplotlib.colors", install="pip install matplotlib", purpose="colours")
    return colors.LinearSegmentedColormap.from_list("neurenix", ("#f3f6f8", VAL_COLOR))
