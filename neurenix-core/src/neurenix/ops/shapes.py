"""Shape rules that several ops share, and the normalisation of axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from neurenix.dtypes import bool_, float_dtype, result_dtype
from neurenix.errors import ShapeError
from neurenix.ops.op import TensorMeta

if TYPE_CHECKING:
    from neurenix.tensor import Tensor

Shape: TypeAlias = tuple[int, ...]
AxisLike: TypeAlias = "int | Sequence[int] | None"


@lru_cache(maxsize=4096)
def dense_strides(shape: Shape) -> Shape:
    """Return the strides, in elements, of a dense row-major tensor."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


@lru_cache(maxsize=4096)
def broadcast_shapes(a: Shape, b: Shape) -> Shape:
    """Return the shape that two shapes broadcast to.

    Raises:
        ShapeError: They differ in an axis where neither is 1.
    """
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    lead = len(longer) - len(shorter)
    shape = list(longer)
    for axis, size in enumerate(shorter, lead):
        if shape[axis] == 1:
            shape[axis] = size
        elif size not in (1, shape[axis]):
            raise ShapeError(
                f"shapes {a} and {b} do not broadcast: axis {axis - len(longer)} has sizes "
                f"{shape[axis]} and {size}; they must be equal, or one of them 1"
            )
    return tuple(shape)


def broadcast_all(shapes: Iterable[Shape]) -> Shape:
    """Return the shape that all the shapes broadcast to."""
    result: Shape = ()
    for shape in shapes:
        result = broadcast_shapes(result, shape)
    return result


def normalize_axis(axis: int, ndim: int) -> int:
    """Return a non-negative axis.

    Raises:
        ShapeError: There is no such axis.
    """
    if not -ndim <= axis < ndim:
        raise ShapeError(f"axis {axis} is out of range for a tensor of {ndim} axes")
    return axis % ndim


def normalize_axes(axis: AxisLike, ndim: int) -> tuple[int, ...]:
    """Return sorted non-negative axes; None means all of them.

    Raises:
        ShapeError: An axis does not exist or comes twice.
    """
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, Iterable):
        return (normalize_axis(axis, ndim),)
    axes = tuple(sorted(normalize_axis(a, ndim) for a in axis))
    if len(set(axes)) != len(axes):
        raise ShapeError(f"axis {tuple(axis)} names an axis twice")
    return axes


def reduced_shape(shape: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """Return a shape without the axes, or with 1 in their place."""
    if keepdims:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def element_count(shape: Shape) -> int:
    """Return the number of elements of a shape."""
    return prod(shape)


def same(x: Any) -> TensorMeta:
    """Shape rule: as the input."""
    return TensorMeta(x.shape, x.dtype)


def same_float(x: Any) -> TensorMeta:
    """Shape rule: as the input, in a floating dtype."""
    return TensorMeta(x.shape, float_dtype(x.dtype))


def same_bool(x: Any) -> TensorMeta:
    """Shape rule: as the input, of bools."""
    return TensorMeta(x.shape, bool_)


def broadcast(x: Any, y: Any) -> TensorMeta:
    """Shape rule: broadcast and promoted."""
    return TensorMeta(broadcast_shapes(x.shape, y.shape), result_dtype(x.dtype, y.dtype))


def broadcast_bool(x: Any, y: Any) -> TensorMeta:
    """Shape rule: broadcast, of bools."""
    return TensorMeta(broadcast_shapes(x.shape, y.shape), bool_)


def broadcast_float(x: Any, y: Any) -> TensorMeta:
    """Shape rule: broadcast and promoted to a floating dtype."""
    return TensorMeta(
        broadcast_shapes(x.shape, y.shape), float_dtype(result_dtype(x.dtype, y.dtype))
    )


def sum_to(tensor: Tensor, shape: Shape) -> Tensor:
    """Sum a gradient over the axes along which its value was broadcast."""
    if tensor.shape == shape:
        return tensor
    lead = tensor.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(
        axis for axis, size in enumerate(shape, lead) if size == 1 and tensor.shape[axis] != 1
    )
    if len(axes) == lead:  # the usual case, a bias: no axis of size 1 has to stay
        return tensor.sum(axis=axes)
    return tensor.sum(axis=axes, keepdims=True).reshape(shape)
