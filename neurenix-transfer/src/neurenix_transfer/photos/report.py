"""The photos that a model is most wrong about, in the picture of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurenix_transfer.insight.drawing import panel_title
from neurenix_transfer.insight.gallery import square
from neurenix_transfer.runs.report import Report, draw_answer, most_wrong

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 6  # photos a row
_ROWS = 2


def draw_photos(
    figure: Figure, place: Any, report: Report, photos: Sequence[npt.NDArray[np.uint8]]
) -> None:
    """Draw them, with what they were taken for.

    Args:
        figure: The figure.
        place: The part of its grid to draw in.
        report: The report.
        photos: The pixels of the validation photos, (H, W, 3) bytes each.
    """
    shown, title = most_wrong(report, _COLUMNS * _ROWS)
    heading = figure.add_subplot(place)
    heading.axis("off")
    panel_title(heading, title)
    cells = place.subgridspec(_ROWS, _COLUMNS, hspace=0.34, wspace=0.08)
    for position, index in enumerate(shown):
        axes = figure.add_subplot(cells[position // _COLUMNS, position % _COLUMNS])
        axes.imshow(square(photos[index]))
        axes.set_anchor("NW")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        places = [(0.0, -0.045), (0.0, -0.165)]
        draw_answer(axes, report, index, places, transform=axes.transAxes, va="top", size=9)
