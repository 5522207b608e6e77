"""L-BFGS: the minimum of a smooth function of many numbers, on NumPy arrays.

Reference: Nocedal and Wright, "Numerical Optimization", 2nd edition, 2006: algorithm 7.4 for the
direction, 3.5 and 3.6 for a step that meets the strong Wolfe conditions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Vector: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Function: TypeAlias = Callable[[Vector], tuple[float, Vector]]
"""``x -> (value, gradient)``."""

_DECREASE = 1e-4  # c1 and c2 of the Wolfe conditions, as the book gives them for quasi-Newton
_CURVATURE = 0.9
_STEPS = 20  # of a line search; interpolation needs three or four
_NOISE = 1e-15  # of a value: close to a minimum, differences below it mean nothing, slopes still do
_GROWTH = 4.0  # of a step that was too short


@dataclass(frozen=True)
class Minimum:
    """Where a minimisation ended.

    Attributes:
        x: The place.
        value: The function there.
        gradient: The largest component of the gradient there, by absolute value.
        iterations: How many steps were taken.
        evaluations: How often the function was computed.
        converged: Whether the gradient is within the tolerance.
    """

    x: Vector
    value: float
    gradient: float
    iterations: int
    evaluations: int
    converged: bool


@dataclass(frozen=True)
class _Point:
    """A point on the line that is searched: the step, the function there and its slope."""

    step: float
    value: float
    slope: float
    gradient: Vector


def minimize(
    function: Function,
    start: Vector,
    *,
    tolerance: float = 1e-6,
    max_iterations: int = 500,
    memory: int = 10,
) -> Minimum:
    """Minimise a smooth function.

    It ends where no component of the gradient is larger than the tolerance, where no step
    decreases the function within the accuracy of its values, or after ``max_iterations``.

    Args:
        function: Gives value and gradient at a point.
        start: Where to begin; it is not changed.
        tolerance: The largest component of the gradient that counts as zero.
        max_iterations: The largest number of steps.
        memory: How many steps are remembered to estimate the curvature.
    """
    counted = _Counted(function)
    x = np.array(start, dtype=np.float64)
    value, gradient = counted(x)
    pairs: deque[tuple[Vector, Vector, float]] = deque(maxlen=memory)
    iterations = 0
    while iterations < max_iterations and np.abs(gradient).max(initial=0.0) > tolerance:
        direction = -_times_inverse_hessian(gradient, pairs)
        slope = float(direction @ gradient)
        if not slope < 0.0:
            break
        first = 1.0 if pairs else min(1.0, 1.0 / float(np.abs(gradient).sum()))
        found = _line_search(counted, x, direction, _Point(0.0, value, slope, gradient), first)
        if found is None and not pairs:
            break
        if found is None:
            pairs.clear()  # once more, along the gradient
            continue
        moved, turned = found.step * direction, found.gradient - gradient
        curvature = float(moved @ turned)
        if curvature > 0.0:
            pairs.append((moved, turned, 1.0 / curvature))
        x, value, gradient = x + moved, found.value, found.gradient
        iterations += 1
    largest = float(np.abs(gradient).max(initial=0.0))
    return Minimum(x, value, largest, iterations, counted.count, largest <= tolerance)


class _Counted:
    """Counts how often a function is computed."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.count = 0

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        self.count += 1
        return self.function(x)


def _times_inverse_hessian(gradient: Vector, pairs: deque[tuple[Vector, Vector, float]]) -> Vector:
    """Multiply the gradient by the estimate of the inverse Hessian: the two-loop recursion."""
    result = gradient.copy()
    weights = []
    for moved, turned, inverse in reversed(pairs):
        weight = inverse * float(moved @ result)
        weights.append(weight)
        result -= weight * turned
    if pairs:
        _, turned, inverse = pairs[-1]
        result *= 1.0 / (inverse * float(turned @ turned))
    for (moved, turned, inverse), weight in zip(pairs, reversed(weights), strict=True):
        result += (weight - inverse * float(turned @ result)) * moved
    return result


def _line_search(
    function: Function, x: Vector, direction: Vector, start: _Point, first: float
) -> _Point | None:
    """Return a point on the line that meets the strong Wolfe conditions, or None."""

    def at(step: float) -> _Point:
        value, gradient = function(x + step * direction)
        return _Point(step, value, float(gradient @ direction), gradient)

    before, step = start, first
    for _ in range(_STEPS):
        point = at(step)
        if _is_too_high(point, start, before):
            return _zoom(at, start, before, point)
        if abs(point.slope) <= -_CURVATURE * start.slope:
            return point
        if point.slope >= 0.0:
            return _zoom(at, start, point, before)
        before, step = point, _GROWTH * step
    return before if before.value < start.value else None


def _is_too_high(point: _Point, start: _Point, best: _Point) -> bool:
    """Whether the function falls too little up to a point, or lies above the best one so far."""
    noise = _NOISE * abs(start.value)
    enough = start.value + _DECREASE * point.step * start.slope
    return not point.value <= min(enough, best.value) + noise  # NaN is too high as well


def _zoom(at: Callable[[float], _Point], start: _Point, low: _Point, high: _Point) -> _Point | None:
    """Narrow an interval that holds a step as it is looked for; ``low`` is its better end."""
    for _ in range(_STEPS):
        point = at(_between(low, high))
        if _is_too_high(point, start, low):
            high = point
            continue
        if abs(point.slope) <= -_CURVATURE * start.slope:
            return point
        if point.slope * (high.step - low.step) >= 0.0:
            high = low
        low = point
    # The interval is as small as numbers allow: what it has of a decrease is taken.
    return low if low.value < start.value else None


def _between(low: _Point, high: _Point) -> float:
    """Return where the cubic through two points has its minimum, kept off the interval's ends."""
    middle = 0.5 * (low.step + high.step)
    width = high.step - low.step
    if width == 0.0 or not np.isfinite(high.value):
        return middle
    bend = low.slope + high.slope - 3.0 * (high.value - low.value) / width
    square = bend * bend - low.slope * high.slope
    if not square >= 0.0:
        return middle
    root = float(np.copysign(np.sqrt(square), width))
    below = high.slope - low.slope + 2.0 * root
    if below == 0.0:
        return middle
    step = high.step - width * (high.slope + root - bend) / below
    margin = 0.1 * abs(width)
    ends = sorted((low.step, high.step))
    return step if ends[0] + margin <= step <= ends[1] - margin else middle
