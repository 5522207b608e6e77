"""The texts that a model is most wrong about, in the picture of a run."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurenix_transfer.insight.drawing import INK, panel_title
from neurenix_transfer.runs.report import Report, draw_answer, most_wrong

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS = 8
_LONGEST = 150  # characters of a text on its line


def draw_texts(figure: Figure, place: Any, report: Report, texts: Sequence[str]) -> None:
    """Draw them, a line each, with what they were taken for.

    Args:
        figure: The figure.
        place: The part of its grid to draw in.
        report: The report.
        texts: The validation texts.
    """
    axes = figure.add_subplot(place)
    axes.axis("off")
    axes.set_xlim(0, 1)
    axes.set_ylim(_ROWS, 0)
    shown, title = most_wrong(report, _ROWS)
    panel_title(axes, title)
    for row, index in enumerate(shown):
        line = textwrap.shorten(" ".join(texts[index].split()), _LONGEST, placeholder=" …")
        axes.text(0.0, row + 0.3, line, size=9.5, color=INK, va="center", parse_math=False)
        places = [(0.0, row + 0.68), (0.2, row + 0.68)]
        draw_answer(axes, report, index, places, va="center", size=8.5)
