"""Gradients against central finite differences, in float64, first and second order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neurenix.autograd import grad, no_grad
from neurenix.tensor import Tensor

Array = np.ndarray[Any, Any]
_STEP = 1e-5


class GradientMismatch(AssertionError):
    """A gradient differs from its finite differences."""


def check_gradients(
    function: Callable[..., Tensor],
    inputs: Sequence[Array],
    *,
    order: int = 2,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    contiguous: bool = True,
) -> None:
    """Check the gradients of a function at a point.

    The output is projected on a random direction v; the gradient of <f(x), v> is compared with
    central differences, element by element. For the second order that gradient, as a function of
    x and of v, is checked in turn, projected again.

    Args:
        function: From float64 tensors to a float64 tensor.
        inputs: The point, float64 arrays.
        order: 1, or 2 to check second derivatives too.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        contiguous: False hands the function strided views instead of dense tensors.

    Raises:
        GradientMismatch: A gradient differs; the message says which and by how much.
    """
    rng = np.random.default_rng(0)
    points = [np.asarray(x, np.float64) for x in inputs]

    def make(array: Array) -> Tensor:
        return Tensor(array) if contiguous else _strided(array)

    with no_grad():
        direction = rng.standard_normal(function(*map(make, points)).shape)

    def projected(*xs: Tensor) -> Tensor:
        return (function(*xs[:-1]) * xs[-1]).sum()

    _compare(projected, [*points, direction], make, rtol, atol, "first order")
    if order < 2:
        return
    seeds = [rng.standard_normal(x.shape) for x in points]

    def gradient(*xs: Tensor) -> Tensor:
        loss = projected(*xs)
        found = grad(loss, xs[:-1], create_graph=True, allow_unused=True)
        total = xs[-1].sum() * 0.0
        for value, seed in zip(found, seeds, strict=True):
            if value is not None:
                total = total + (value * Tensor(seed)).sum()
        return total

    _compare(gradient, [*points, direction], make, rtol * 10, atol * 10, "second order")


def _strided(array: Array) -> Tensor:
    """Return a tensor of the array's values that is no dense piece of memory."""
    if array.ndim == 0:
        return Tensor(np.stack([array, array]))[1]
    spaced = np.zeros((*array.shape[:-1], array.shape[-1] * 2))
    spaced[..., ::2] = array
    return Tensor(spaced)[..., ::2]


def _compare(
    scalar: Callable[..., Tensor],
    points: list[Array],
    make: Callable[[Array], Tensor],
    rtol: float,
    atol: float,
    what: str,
) -> None:
    leaves = [make(x).detach() for x in points]
    for leaf in leaves:
        leaf.requires_grad = True
    out = scalar(*leaves)
    found: Sequence[Tensor | None] = [None] * len(leaves)
    if out.requires_grad:
        found = grad(out, leaves, allow_unused=True)
    for index, (point, gradient) in enumerate(zip(points, found, strict=True)):
        ours = np.zeros_like(point) if gradient is None else gradient.detach().numpy()
        theirs = _differences(scalar, points, index, make)
        error = np.abs(ours - theirs)
        bad = ~(error <= atol + rtol * np.abs(theirs))
        if bad.any():
            place = np.unravel_index(int(np.argmax(np.where(bad, error, -1))), point.shape)
            raise GradientMismatch(
                f"{what}: the gradient of input {index} at {tuple(map(int, place))} is "
                f"{ours[place]:.10g}, but finite differences give {theirs[place]:.10g} "
                f"({int(bad.sum())} of {point.size} elements differ)"
            )


def _differences(
    scalar: Callable[..., Tensor], points: list[Array], index: int, make: Callable[[Array], Tensor]
) -> Array:
    result = np.zeros_like(points[index])
    moved = [x.copy() for x in points]
    flat, out = moved[index].reshape(-1), result.reshape(-1)
    for i in range(flat.size):
        kept = flat[i]
        values = []
        for step in (_STEP, -_STEP):
            flat[i] = kept + step
            values.append(_value(scalar, [make(x) for x in moved]))
        flat[i] = kept
        out[i] = (values[0] - values[1]) / (2 * _STEP)
    return result


def _value(scalar: Callable[..., Tensor], tensors: list[Tensor]) -> float:
    leaves = [tensor.detach() for tensor in tensors]
    for leaf in leaves:
        leaf.requires_grad = True
    return float(scalar(*leaves).detach().item())
