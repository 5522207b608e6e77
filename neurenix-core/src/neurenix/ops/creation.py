"""Tensors from nothing: filled, counted, or shaped like another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeAlias

from neurenix.backends.device import DeviceLike
from neurenix.backends.registry import resolve
from neurenix.dtypes import (
    DType,
    Scalar,
    as_dtype,
    check_fits,
    compute_dtype,
    float32,
    float_dtype,
    int32,
    int64,
)
from neurenix.errors import ShapeError
from neurenix.ops import dispatch
from neurenix.ops.op import Shape, TensorMeta, primitive

if TYPE_CHECKING:
    from neurenix.tensor import Tensor

ShapeLike: TypeAlias = "int | Sequence[int]"


def _fill_meta(*, shape: Shape, value: Scalar, dtype: DType) -> TensorMeta:
    return TensorMeta(shape, dtype)


def _iota_meta(*, size: int, start: Scalar, step: Scalar, dtype: DType) -> TensorMeta:
    return TensorMeta((size,), dtype)


fill = primitive("fill", meta=_fill_meta, differentiable=False, doc="A tensor of one value.")
iota = primitive(
    "iota", meta=_iota_meta, differentiable=False, doc="start, start + step, start + 2 step, …"
)


def as_shape(shape: ShapeLike) -> Shape:
    """Return a shape as a tuple of non-negative ints.

    Raises:
        ShapeError: A size is negative or no integer.
    """
    try:
        sizes = (shape,) if isinstance(shape, int) else tuple(s.__index__() for s in shape)
    except (TypeError, AttributeError):
        raise ShapeError(
            f"a shape is an integer or a sequence of integers, not {shape!r}"
        ) from None
    if any(size < 0 for size in sizes):
        raise ShapeError(f"a shape has no negative sizes, but got {sizes}")
    return sizes


def full(
    shape: ShapeLike,
    fill_value: Scalar,
    dtype: Any = None,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor filled with a value; the dtype follows the value's kind.

    Raises:
        DTypeError: The value is an integer that the dtype does not hold.
    """
    chosen = as_dtype(dtype) if dtype is not None else as_dtype(type(fill_value))
    check_fits(fill_value, chosen)
    out = dispatch.create(
        fill, resolve(device), shape=as_shape(shape), value=fill_value, dtype=chosen
    )
    out.requires_grad = requires_grad
    return out


def zeros(
    shape: ShapeLike,
    dtype: Any = float32,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor filled with 0."""
    return full(shape, 0, dtype, device, requires_grad)


def ones(
    shape: ShapeLike,
    dtype: Any = float32,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor filled with 1."""
    return full(shape, 1, dtype, device, requires_grad)


def empty(
    shape: ShapeLike,
    dtype: Any = float32,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor whose values are whatever the memory held."""
    out = dispatch.allocate(as_shape(shape), as_dtype(dtype), resolve(device))
    out.requires_grad = requires_grad
    return out


def full_like(x: Tensor, fill_value: Scalar, dtype: Any = None) -> Tensor:
    """Return a filled tensor of another's shape, device and, unless given, dtype."""
    chosen = x.dtype if dtype is None else as_dtype(dtype)
    check_fits(fill_value, chosen)
    return dispatch.create(fill, x.device, shape=x.shape, value=fill_value, dtype=chosen)


def zeros_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Return zeros of another tensor's shape, device and, unless given, dtype."""
    return full_like(x, 0, dtype)


def ones_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Return ones of another tensor's shape, device and, unless given, dtype."""
    return full_like(x, 1, dtype)


def empty_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Return an uninitialised tensor of another's shape, device and, unless given, dtype."""
    return dispatch.allocate(x.shape, x.dtype if dtype is None else as_dtype(dtype), x.device)


def arange(
    start: Scalar,
    stop: Scalar | None = None,
    step: Scalar = 1,
    dtype: Any = None,
    device: DeviceLike | None = None,
) -> Tensor:
    """Return start, start + step, … up to but without ``stop``; ``arange(n)`` starts at 0.

    The dtype is int64 where all three are integers, else float32.
    """
    if stop is None:
        start, stop = 0, start
    if step == 0:
        raise ShapeError("arange needs a step other than 0")
    if all(isinstance(v, Integral) for v in (start, stop, step)):
        start, stop, step = int(start), int(stop), int(step)
        dtype, size = int64 if dtype is None else dtype, len(range(start, stop, step))
    else:
        dtype, size = float32 if dtype is None else dtype, math.ceil((stop - start) / step)
    size = max(0, size)
    return dispatch.create(
        iota, resolve(device), size=size, start=start, step=step, dtype=as_dtype(dtype)
    )


def linspace(
    start: float,
    stop: float,
    num: int,
    dtype: Any = float32,
    device: DeviceLike | None = None,
) -> Tensor:
    """Return ``num`` evenly spaced values from ``start`` to ``stop``, both included."""
    if num < 0:
        raise ShapeError(f"linspace needs a count of at least 0, got {num}")
    chosen = as_dtype(dtype)
    wide = float_dtype(compute_dtype(chosen))
    steps = dispatch.create(iota, resolve(device), size=num, start=0, step=1, dtype=wide)
    fraction = steps / float(max(num - 1, 1))
    # Weighting both ends makes the last value exactly `stop`.
    return ((1.0 - fraction) * start + fraction * stop).astype(chosen)


def eye(
    rows: int, columns: int | None = None, dtype: Any = float32, device: DeviceLike | None = None
) -> Tensor:
    """Return the identity matrix, or ones on the diagonal of a rectangle."""
    columns = rows if columns is None else columns
    down = arange(rows, dtype=int32, device=device).reshape((rows, 1))
    across = arange(columns, dtype=int32, device=device).reshape((1, columns))
    return (down == across).astype(as_dtype(dtype))
