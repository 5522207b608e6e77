"""Reading and writing by index tensors: gather, scatter, take, put, nonzero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.dtypes import DType, bool_, int32, int64
from neurenix.errors import DTypeError, ShapeError, TraceError
from neurenix.ops import dispatch
from neurenix.ops import elementwise as ew
from neurenix.ops.creation import arange, fill
from neurenix.ops.mode import mode
from neurenix.ops.movement import copy, expand, permute, reshape, unsqueeze
from neurenix.ops.op import Shape, TensorMeta, composite, primitive
from neurenix.ops.shapes import broadcast_all, element_count, normalize_axis

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


def _gather_meta(x: Any, index: Any, *, axis: int) -> TensorMeta:
    return TensorMeta(index.shape, x.dtype)


def _scatter_meta(x: Any, index: Any, value: Any, *, axis: int) -> TensorMeta:
    return TensorMeta(x.shape, x.dtype)


_gather = primitive("gather", meta=_gather_meta)
_scatter = primitive("scatter", meta=_scatter_meta)
_scatter_add = primitive("scatter_add", meta=_scatter_meta)


@_gather.vjp("x")
def _(grad: Tensor, x_shape: Shape, index: Tensor, axis: int) -> Tensor:
    zeros = dispatch.create(fill, grad.device, shape=x_shape, value=0, dtype=grad.dtype)
    return _scatter_add(zeros, index, grad, axis=axis)


@_scatter.vjp("x")
def _(grad: Tensor, index: Tensor, axis: int) -> Tensor:
    zeros = dispatch.create(fill, grad.device, shape=index.shape, value=0, dtype=grad.dtype)
    return _scatter(grad, index, zeros, axis=axis)


_scatter.vjp("value")(lambda grad, index, axis: _gather(grad, index, axis=axis))
_scatter_add.vjp("x")(lambda grad: grad)
_scatter_add.vjp("value")(lambda grad, index, axis: _gather(grad, index, axis=axis))


def _check_index(name: str, x: Tensor, index: Tensor, axis: int) -> int:
    if index.dtype not in (int64, int32):
        raise DTypeError(f"{name} needs an index of int64 or int32, got {index.dtype}")
    axis = normalize_axis(axis, x.ndim)
    if index.ndim != x.ndim or any(
        i > s for k, (i, s) in enumerate(zip(index.shape, x.shape, strict=True)) if k != axis
    ):
        raise ShapeError(
            f"{name} along axis {axis} needs an index with as many axes as the tensor and no "
            f"larger in the others, got {index.shape} for {x.shape}"
        )
    return axis


def gather(x: Tensor, index: Tensor, axis: int) -> Tensor:
    """Return out[..., i, ...] = x[..., index[..., i, ...], ...] along an axis.

    Args:
        x: A tensor.
        index: Indices into the axis, 0 to its size; as many axes as ``x``.
        axis: The axis that is indexed.

    Raises:
        IndexError: An index is out of range.
        ShapeError: The index does not fit the tensor.
    """
    return _gather(x, index, axis=_check_index("gather", x, index, axis))


def scatter(x: Tensor, index: Tensor, value: Tensor, axis: int) -> Tensor:
    """Return a copy of x with x[..., index[..., i, ...], ...] = value[..., i, ...].

    Where an index comes several times, the last value stays.
    """
    axis = _check_index("scatter", x, index, axis)
    return _scatter(x, index, value.astype(x.dtype).expand(index.shape), axis=axis)


def scatter_add(x: Tensor, index: Tensor, value: Tensor, axis: int) -> Tensor:
    """Return a copy of x with value[..., i, ...] added to x[..., index[..., i, ...], ...].

    Values that meet in one place are added in the order of the index.
    """
    axis = _check_index("scatter_add", x, index, axis)
    return _scatter_add(x, index, value.astype(x.dtype).expand(index.shape), axis=axis)


def _take_meta(x: Any, index: Any) -> TensorMeta:
    return TensorMeta((*index.shape, *x.shape[1:]), x.dtype)


def _take_backward_meta(grad: Any, index: Any, *, rows: int) -> TensorMeta:
    return TensorMeta((rows, *grad.shape[index.ndim :]), grad.dtype)


_take = composite("take", meta=_take_meta)
_take_backward = composite("take_backward", meta=_take_backward_meta)


@_take.decompose
def _(x: Tensor, index: Tensor) -> Tensor:
    width = element_count(x.shape[1:])
    columns = expand(reshape(index, (index.size, 1)), (index.size, width))
    rows = _gather(reshape(x, (x.shape[0], width)), columns, axis=0)
    return reshape(rows, (*index.shape, *x.shape[1:]))


@_take_backward.decompose
def _(grad: Tensor, index: Tensor, *, rows: int) -> Tensor:
    tail = grad.shape[index.ndim :]
    width = element_count(tail)
    columns = expand(reshape(index, (index.size, 1)), (index.size, width))
    zeros = dispatch.create(fill, grad.device, shape=(rows, width), value=0, dtype=grad.dtype)
    added = _scatter_add(zeros, columns, reshape(grad, (index.size, width)), axis=0)
    return reshape(added, (rows, *tail))


_take.vjp("x")(lambda grad, x_shape, index: _take_backward(grad, index, rows=x_shape[0]))
_take_backward.vjp("grad")(lambda grad, index: _take(grad, index))


def take(x: Tensor, index: Tensor, axis: int = 0) -> Tensor:
    """Return the slices of x along an axis that an index of any shape names.

    Shape:
        ``(..., A, ...)`` with an index of shape ``S`` to ``(..., *S, ...)``.

    Raises:
        IndexError: An index is out of range.
    """
    axis = normalize_axis(axis, x.ndim)
    if index.dtype not in (int64, int32):
        raise DTypeError(f"take needs an index of int64 or int32, got {index.dtype}")
    if axis == 0:
        return _take(x, index)
    order = (axis, *(a for a in range(x.ndim) if a != axis))
    out = _take(permute(x, order), index)
    k = index.ndim
    back = (*range(k, k + axis), *range(k), *range(k + axis, out.ndim))
    return permute(out, back)


def flip(x: Tensor, axis: int | tuple[int, ...]) -> Tensor:
    """Return a copy with the order along axes reversed."""
    axes = (axis,) if isinstance(axis, int) else axis
    for a in axes:
        size = x.shape[normalize_axis(a, x.ndim)]
        x = take(x, arange(size - 1, -1, -1, device=x.device), a)
    return x


def nonzero(x: Tensor) -> tuple[Tensor, ...]:
    """Return the indices of the elements that are not zero, a tensor of int64 an axis.

    Its shape depends on the values, so it waits for the device, and cannot be traced.

    Raises:
        TraceError: It is called in a trace.
    """
    if mode.tracer is not None:
        raise TraceError("nonzero has a shape that depends on values, which a trace has not")
    from_array = dispatch.tensor_class()
    return tuple(
        from_array(np.ascontiguousarray(index), device=x.device) for index in np.nonzero(x.numpy())
    )


def one_hot(indices: Tensor, num_classes: int) -> Tensor:
    """Return float32 rows with 1 at the index and 0 elsewhere.

    Shape:
        ``S`` to ``(*S, num_classes)``.
    """
    classes = arange(num_classes, dtype=int32, device=indices.device)
    return ew.eq(unsqueeze(indices.astype(int32), -1), classes).float()


def _put_meta(x: Any, value: Any, *indices: Any) -> TensorMeta:
    return TensorMeta(x.shape, x.dtype)


put = composite(
    "put",
    meta=_put_meta,
    donates={0: 0},
    differentiable=False,
    doc="""Write value at index tensors, in place.

    The index tensors, of one shape and not negative, index the leading axes of x; the last of
    several values for one place stays.""",
)


@put.decompose
def _(x: Tensor, value: Tensor, *indices: Tensor) -> Tensor:
    lead = x.shape[: len(indices)]
    rows = reshape(copy(x), (element_count(lead), element_count(x.shape[len(indices) :])))
    places = reshape(linear_index(indices, lead), (-1, 1))
    places = expand(places, (places.shape[0], rows.shape[1]))
    return reshape(_scatter(rows, places, reshape(value, places.shape), axis=0), x.shape)


def linear_index(indices: tuple[Tensor, ...], sizes: Shape) -> Tensor:
    """Return the position in the flattened leading axes that index tensors name together."""
    shape = broadcast_all(index.shape for index in indices)
    # Arithmetic in int64 is nothing that every device has.
    dtype = int32 if element_count(sizes) < 2**31 else int64
    place: Tensor | None = None
    for index, size in zip(indices, sizes, strict=True):
        along = index.astype(dtype)
        place = along if place is None else ew.add(ew.mul(place, size), along)
    assert place is not None
    return expand(place, shape)


def positive(index: Tensor, size: int) -> Tensor:
    """Return indices of which negative ones counted from the end; it waits for the values.

    Raises:
        IndexError: An index lies outside ``-size … size - 1``.
    """
    if mode.tracer is None and (index.size == 0 or _lowest_within(index, size) >= 0):
        return index if index.dtype in (int64, int32) else index.astype(int64)
    index = index.astype(int32 if size < 2**31 else int64)
    return ew.where(index < 0, index + size, index)


def _lowest_within(index: Tensor, size: int) -> int:
    values = index.numpy()
    low, high = values.min(), values.max()
    if low < -size or high >= size:
        bad = low if low < -size else high
        raise IndexError(f"index {int(bad)} is out of range for an axis of size {size}")
    return int(low)


def as_index_dtype(index: Tensor) -> DType:
    """Return the dtype of an index tensor.

    Raises:
        DTypeError: It is neither of integers nor of bools.
    """
    if index.dtype == bool_ or index.dtype.kind in "iu":
        return index.dtype
    raise DTypeError(f"an index is of integers or bools, not {index.dtype}; cast it first")
