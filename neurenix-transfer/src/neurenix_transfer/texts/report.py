"""The picture of a run on texts: how it learnt, what it confuses, and its most wrong texts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurenix_transfer.photos.report import (
    FAINT,
    INK,
    VAL_COLOR,
    WRONG_COLOR,
    Report,
    panel_title,
    wrong_title,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS = 8
_LONGEST = 150  # characters of a text on its line


def draw_texts(figure: Figure, place: Any, report: Report, texts: Sequence[str]) -> None:
    """Draw the texts that a model is most wrong about, a line each.

    Args:
        figure: The figure.
        place: The part of its grid to draw in.
        report: The report.
        texts: The validation texts.
    """
    evaluation = report.evaluation
    axes = figure.add_subplot(place)
    axes.axis("off")
    axes.set_xlim(0, 1)
    axes.set_ylim(_ROWS, 0)
    shown, title = wrong_title(evaluation, _ROWS, "text")
    panel_title(axes, title)
    for row, index in enumerate(shown):
        predicted, truth = int(evaluation.predicted[index]), int(evaluation.labels[index])
        color = WRONG_COLOR if predicted != truth else VAL_COLOR
        line = textwrap.shorten(" ".join(texts[index].split()), _LONGEST, placeholder=" …")
        share = 100 * evaluation.probabilities[index, predicted]
        axes.text(
            0.0, row + 0.3, line, size=9.5, color=INK, va="center", parse_math=False
        )  # fmt: skip
        axes.text(
            0.0,
            row + 0.68,
            f"{evaluation.classes[predicted]} {share:.0f} %",
            size=8.5,
            weight="bold",
            color=color,
            va="center",
            parse_math=False,
        )
        axes.text(
            0.16,
            row + 0.68,
            f"truth: {evaluation.classes[truth]}",
            size=8.5,
            color=FAINT,
            va="center",
            parse_math=False,
        )
