"""Charts of the report as SVG: curves over epochs, and confidence beside accuracy.

Colours come from the page's style, so that they follow its light or dark scheme. Each point tells
its value on hover, and each chart has a title for those who hear the page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from neurenix_transfer.insight.evaluation import Evaluation, wilson_interval
from neurenix_transfer.insight.markup import Markup, element, joined

_WIDTH, _HEIGHT = 480, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 20, 14, 40
_SHOWN_BINS = 10  # fewer than the error is computed with: each point then stands for more samples
_MOST_POINTS = 60  # epochs whose points are still drawn on the line
_TICKS = 5


@dataclass(frozen=True)
class Frame:
    """Where values lie on a chart.

    Attributes:
        x: The lowest and the highest value to the right.
        y: And upwards.
    """

    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the place of a point, in pixels."""
        width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        right = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1.0)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1.0)
        return round(_LEFT + right * width, 2), round(_TOP + (1 - up) * height, 2)


def curves(
    title: str,
    lines: Sequence[tuple[str, Sequence[float]]],
    kept: int | None,
    shown: Callable[[float], str],
    top: float | None = None,
) -> Markup:
    """Draw a quantity over the epochs.

    Args:
        title: What it is.
        lines: The name and the values of each line; the first is drawn fainter than the last.
        kept: The epoch that was kept, counted from 0.
        shown: How a value is written.
        top: The highest value that there can be; None for none.
    """
    lines = [(name, values) for name, values in lines if len(values)]
    finite = [value for _, values in lines for value in values if math.isfinite(value)]
    if not finite:
        return element("p", "There are no values to draw.", class_="note")
    low, high = (0.0, max(finite)) if top is None else (min(finite), top)
    ticks = _ticks(low, high)
    if top is not None:
        ticks = [tick for tick in ticks if tick <= top + 1e-9]
    count = max(len(values) for _, values in lines)
    frame = Frame((0.5, count + 0.5), (ticks[0], max(ticks[-1], high)))
    labels = [(tick, shown(tick).replace(".0 %", " %")) for tick in ticks]
    parts = [_grid(frame, labels, _epochs(count), "epoch")]
    if kept is not None and 0 <= kept < count:
        x, _ = frame.at(kept + 1, 0)
        parts.append(element("line", x1=x, x2=x, y1=_TOP, y2=_HEIGHT - _BOTTOM, class_="kept"))
    for number, (name, values) in enumerate(lines):
        series = f"series-{'val' if number == len(lines) - 1 else 'train'}"
        places = [
            (epoch, value, frame.at(epoch + 1, value))
            for epoch, value in enumerate(values)
            if math.isfinite(value)
        ]
        points = " ".join(f"{x},{y}" for _, _, (x, y) in places)
        parts.append(element("polyline", points=points, class_=f"curve {series}"))
        for epoch, value, (x, y) in places:
            if count > _MOST_POINTS and epoch != kept:
                continue
            note = element("title", f"{name}, epoch {epoch + 1}: {shown(value)}")
            mark = " ring" if epoch == kept and series == "series-val" else ""
            parts.append(
                element("circle", note, cx=x, cy=y, r=6 if mark else 3.2, class_=f"{series}{mark}")
            )
    last = ", ".join(f"{name} {shown(values[-1])}" for name, values in lines)
    return _svg(f"{title} by epoch; in the last one {last}", *parts)


def reliability_chart(after: Evaluation, before: Evaluation | None = None) -> Markup:
    """Draw how often predictions of a confidence are right, with intervals of 95 %.

    Args:
        after: The predictions.
        before: The same before calibration, drawn as rings.
    """
    lowest = min(
        each.low
        for evaluation in (after, before or after)
        for each in evaluation.reliability(_SHOWN_BINS)
        if each.count
    )
    low = round(min(lowest, 0.8), 1)
    frame = Frame((low, 1.0), (0.0, 1.0))
    rows = [(step / 5, _percent(step / 5)) for step in range(6)]
    stride = 1 if low >= 0.5 else 2
    columns = [(step / 10, _percent(step / 10)) for step in range(10, -1, -stride)]
    columns = [(value, label) for value, label in columns if value >= low - 1e-9]
    parts = [_grid(frame, rows, columns, "confidence")]
    (x1, y1), (x2, y2) = frame.at(low, low), frame.at(1.0, 1.0)
    parts.append(element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_="ideal"))
    if before is not None:
        parts += _reliability_points(frame, before, "before")
    parts += _reliability_points(frame, after, "after")
    return _svg(
        "Accuracy by confidence; on the diagonal, confidence means what it says",
        *parts,
    )


def _reliability_points(frame: Frame, evaluation: Evaluation, series: str) -> list[Markup]:
    parts = []
    for each in evaluation.reliability(_SHOWN_BINS):
        if not each.count:
            continue
        x, y = frame.at(each.confidence, each.accuracy)
        if series == "after":
            bounds = wilson_interval(round(each.accuracy * each.count), each.count)
            (_, y1), (_, y2) = (frame.at(each.confidence, bound) for bound in bounds)
            parts.append(element("line", x1=x, x2=x, y1=y1, y2=y2, class_="interval"))
        note = element(
            "title",
            f"{series} calibration: {each.count} predictions, {_percent(each.confidence, 1)} sure, "
            f"{_percent(each.accuracy, 1)} right",
        )
        radius = round(3.0 + 9.0 * math.sqrt(each.count / evaluation.total), 2)
        parts.append(element("circle", note, cx=x, cy=y, r=radius, class_=f"point-{series}"))
    return parts


def _grid(
    frame: Frame,
    rows: Sequence[tuple[float, str]],
    columns: Sequence[tuple[float, str]],
    axis: str,
) -> Markup:
    parts = []
    for value, label in rows:
        _, y = frame.at(frame.x[0], value)
        parts.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(element("text", label, x=_LEFT - 8, y=y + 4, class_="tick end"))
    for value, label in columns:
        x, _ = frame.at(value, frame.y[0])
        parts.append(element("text", label, x=x, y=_HEIGHT - _BOTTOM + 17, class_="tick middle"))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(element("text", axis, x=middle, y=_HEIGHT - 5, class_="tick middle"))
    return joined(*parts)


def _svg(title: str, *parts: Markup) -> Markup:
    return element(
        "svg",
        element("title", title),
        *parts,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=title,
        class_="chart",
    )


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers from below the lowest to above the highest value."""
    span = (high - low) or abs(high) or 1.0
    rough = span / (_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * number, 12) for number in range(first, max(last, first + 1) + 1)]


def _epochs(count: int) -> list[tuple[float, str]]:
    step = max(1, math.ceil(count / 10))
    return [(float(epoch), str(epoch)) for epoch in range(1, count + 1) if epoch % step == 0]


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"
