"""Reductions over one, several or all axes."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from neurenix.dtypes import bool_, compute_dtype, float_dtype, int64, is_floating
from neurenix.errors import ShapeError
from neurenix.ops import elementwise as ew
from neurenix.ops.creation import full_like
from neurenix.ops.joining import split, stack
from neurenix.ops.op import Op, TensorMeta, primitive
from neurenix.ops.shapes import (
    AxisLike,
    element_count,
    normalize_axes,
    normalize_axis,
    reduced_shape,
)

if TYPE_CHECKING:
    from neurenix.tensor import Tensor

Axes = tuple[int, ...]


def _reduced(x: Any, *, axes: Axes, keepdims: bool) -> TensorMeta:
    return TensorMeta(reduced_shape(x.shape, axes, keepdims), x.dtype)


def _summed(x: Any, *, axes: Axes, keepdims: bool) -> TensorMeta:
    dtype = x.dtype if is_floating(x.dtype) else int64
    return TensorMeta(reduced_shape(x.shape, axes, keepdims), dtype)


def _indexed(x: Any, *, axes: Axes, keepdims: bool) -> TensorMeta:
    return TensorMeta(reduced_shape(x.shape, axes, keepdims), int64)


def _back(value: Tensor, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
    """Give a reduced value its axes of size 1 again."""
    return value if keepdims else value.reshape(reduced_shape(x.shape, axes, True))


_sum = primitive("sum", meta=_summed)
_prod = primitive("prod", meta=_summed)
_max = primitive("max", meta=_reduced)
_min = primitive("min", meta=_reduced)
_argmax = primitive("argmax", meta=_indexed, differentiable=False)
_argmin = primitive("argmin", meta=_indexed, differentiable=False)


@_sum.vjp("x")
def _(grad: Tensor, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
    return _back(grad, x, axes, keepdims).expand(x.shape)


@_prod.vjp("x")
def _(grad: Tensor, x: Tensor, axes: Axes, keepdims: bool) -> Tensor:
    # The product of all other elements, as (those before) * (those after): right with zeros too.
    if x.size == 0:
        return full_like(x, 0.0)
    order = (*(a for a in range(x.ndim) if a not in axes), *axes)
    sizes = tuple(x.shape[a] for a in order)
    count = element_count(tuple(x.shape[a] for a in axes))
    columns = [column.squeeze(1) for column in split(x.permute(order).reshape((-1, count)), 1, 1)]
    one = full_like(columns[0], 1.0)
    before = list(accumulate(columns[:-1], ew.mul, initial=one))
    after = list(accumulate(columns[:0:-1], ew.mul, initial=one))[::-1]
    others = stack([ew.mul(a, b) for a, b in zip(before, after, strict=True)], axis=1)
    inverse = tuple(order.index(a) for a in range(x.ndim))
    return _back(grad, x, axes, keepdims) * others.reshape(sizes).permute(inverse)


def _extremum_grad(grad: Tensor, x: Tensor, out: Tensor, axes: Axes, keepdims: bool) -> Tensor:
    """Elements that tie for the extremum share its gradient evenly."""
    chosen = (x == _back(out, x, axes, keepdims)).astype(x.dtype)
    return _back(grad, x, axes, keepdims) * (chosen / chosen.sum(axis=axes, keepdims=True))


_max.vjp("x")(lambda grad, x, out, axes, keepdims: _extremum_grad(grad, x, out, axes, keepdims))
_min.vjp("x")(lambda grad, x, out, axes, keepdims: _extremum_grad(grad, x, out, axes, keepdims))


def sum(x: Tensor, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """Return the sum over axes; integers and bools add up in int64.

    Args:
        x: A tensor.
        axis: An axis, several, or None for all.
        keepdims: Leave the axes with size 1.
    """
    return _sum(x, axes=normalize_axes(axis, x.ndim), keepdims=keepdims)


def prod(x: Tensor, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """Return the product over axes; integers and bools multiply in int64."""
    return _prod(x, axes=normalize_axes(axis, x.ndim), keepdims=keepdims)


def _nonempty(name: str, x: Tensor, axes: Axes) -> Axes:
    if 0 in [x.shape[a] for a in axes]:
        raise ShapeError(f"{name} over an axis of size 0 has no value; the shape is {x.shape}")
    return axes


def max(x: Tensor, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """Return the maximum over axes; NaN where there is one.

    Raises:
        ShapeError: An axis is empty.
    """
    axes = _nonempty("max", x, normalize_axes(axis, x.ndim))
    return _max(x, axes=axes, keepdims=keepdims)


def min(x: Tensor, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """Return the minimum over axes; NaN where there is one.

    Raises:
        ShapeError: An axis is empty.
    """
    axes = _nonempty("min", x, normalize_axes(axis, x.ndim))
    return _min(x, axes=axes, keepdims=keepdims)


def _arg(op: Op, x: Tensor, axis: int | None, keepdims: bool) -> Tensor:
    if axis is None:
        flat = x.reshape((x.size,))
        index = op(flat, axes=_nonempty(op.name, flat, (0,)), keepdims=False)
        return index.reshape((1,) * x.ndim) if keepdims else index
    axes = _nonempty(op.name, x, (normalize_axis(axis, x.ndim),))
    return op(x, axes=axes, keepdims=keepdims)


def argmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the first maximum along an axis, or in the flattened tensor.

    Raises:
        ShapeError: The axis is empty.
    """
    return _arg(_argmax, x, axis, keepdims)


def argmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the first minimum along an axis, or in the flattened tensor.

    Raises:
        ShapeError: The axis is empty.
    """
    return _arg(_argmin, x, axis, keepdims)


def mean(x: Tensor, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """Return the mean over axes, in a floating dtype; NaN over nothing."""
    axes = normalize_axes(axis, x.ndim)
    count = element_count(tuple(x.shape[a] for a in axes))
    dtype = float_dtype(x.dtype)
    # A sum of many 16-bit floats may be too large for them, and so may their count.
    return (sum(x.astype(compute_dtype(dtype)), axes, keepdims) / float(count)).astype(dtype)


def var(
    x: Tensor, axis: AxisLike = None, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """Return the variance over axes.

    Args:
        x: A tensor.
        axis: An axis, several, or None for all.
        correction: Subtracted from the count in the divisor; 1 for the unbiased estimate.
        keepdims: Leave the axes with size 1.
    """
    return _variance(x, axis, correction, keepdims).astype(float_dtype(x.dtype))


def _variance(x: Tensor, axis: AxisLike, correction: float, keepdims: bool) -> Tensor:
    """Return the variance in the dtype to compute in: 16-bit floats may not hold a square."""
    axes = normalize_axes(axis, x.ndim)
    x = x.astype(compute_dtype(float_dtype(x.dtype)))
    centered = x - mean(x, axes, keepdims=True)
    count = element_count(tuple(x.shape[a] for a in axes)) - correction
    return sum(centered * centered, axes, keepdims) / float(count)


def std(
    x: Tensor, axis: AxisLike = None, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """Return the standard deviation over axes; see `var`."""
    variance = _variance(x, axis, correction, keepdims)
    # Of equal values the root has an infinite slope; like everywhere, theirs is taken as 0.
    flat = variance == 0
    root = ew.where(flat, 0.0, ew.sqrt(ew.where(flat, 1.0, variance)))
    return root.astype(float_dtype(x.dtype))


def logsumexp(x: Tensor, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """Return log(sum(exp(x))) over axes, without overflow."""
    axes = normalize_axes(axis, x.ndim)
    x = x.astype(float_dtype(x.dtype))
    peak = max(x, axes, keepdims=True).detach()
    peak = ew.where(ew.isfinite(peak), peak, 0.0)
    out = ew.log(sum(ew.exp(x - peak), axes, keepdims=True)) + peak
    return out if keepdims else out.reshape(reduced_shape(x.shape, axes, False))


def any(x: Tensor, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """Return where at least one element over the axes is not zero."""
    truth = ew.ne(x, 0) if x.dtype != bool_ else x
    # In float32, which every device sums, and where a sum of ones is never 0.
    return ew.ne(sum(truth.float(), axis, keepdims), 0)


def all(x: Tensor, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
    """Return where no element over the axes is zero."""
    return ew.logical_not(any(ew.logical_not(x), axis, keepdims))
