"""Sorting, stable, along one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.dtypes import int32, int64
from neurenix.errors import ShapeError
from neurenix.ops import dispatch
from neurenix.ops import elementwise as ew
from neurenix.ops.creation import arange, fill
from neurenix.ops.indexing import gather, scatter, scatter_add
from neurenix.ops.movement import expand, narrow, reshape, transpose, unsqueeze
from neurenix.ops.op import Shape, TensorMeta, composite
from neurenix.ops.shapes import normalize_axis

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


def _sort_meta(x: Any, *, axis: int, descending: bool) -> tuple[TensorMeta, TensorMeta]:
    return TensorMeta(x.shape, x.dtype), TensorMeta(x.shape, int64)


_sort = composite("sort", meta=_sort_meta, outputs=("values", "indices"))


@_sort.decompose
def _(x: Tensor, *, axis: int, descending: bool) -> tuple[Tensor, Tensor]:
    # The rank of an element is how many come before it: O(n^2), but of primitives alone.
    rows = transpose(x, axis, -1)
    size = rows.shape[-1]
    mine, other = unsqueeze(rows, -1), unsqueeze(rows, -2)
    mine_nan, other_nan = ew.isnan(mine), ew.isnan(other)
    if descending:
        less = (other > mine) | (other_nan & ew.logical_not(mine_nan))
    else:
        less = (other < mine) | (mine_nan & ew.logical_not(other_nan))
    place = arange(size, dtype=int32, device=x.device)
    earlier = unsqueeze(place, 0) < unsqueeze(place, 1)
    equal = (other == mine) | (mine_nan & other_nan)
    rank = (less | (equal & earlier)).float().sum(-1).astype(int32)
    positions = expand(place, rows.shape)
    indices = scatter(rank, rank, positions, -1).astype(int64)
    return transpose(gather(rows, indices, -1), axis, -1), transpose(indices, axis, -1)


@_sort.vjp("x")
def _(grad: Tensor, x_shape: Shape, indices: Tensor, axis: int) -> Tensor:
    return _put_back(grad, x_shape, indices, axis)


def _put_back(grad: Tensor, shape: Shape, indices: Tensor, axis: int) -> Tensor:
    zeros = dispatch.create(fill, grad.device, shape=shape, value=0, dtype=grad.dtype)
    return scatter_add(zeros, indices, grad, axis)


def sort(x: Tensor, axis: int = -1, descending: bool = False) -> tuple[Tensor, Tensor]:
    """Return the elements in order along an axis, and their indices.

    Equal elements keep their order. NaN counts as larger than any number.

    Args:
        x: A tensor.
        axis: The axis to sort along.
        descending: From the largest to the smallest.
    """
    rows = reshape(x, (1,)) if x.ndim == 0 else x
    axis = normalize_axis(axis, rows.ndim)
    values, indices = _sort.all(rows, axis=axis, descending=descending)
    return reshape(values, x.shape), reshape(indices, x.shape)


def argsort(x: Tensor, axis: int = -1, descending: bool = False) -> Tensor:
    """Return the indices that put the elements in order; see `sort`."""
    return sort(x.detach(), axis, descending)[1]


def _topk_meta(x: Any, *, k: int, axis: int, largest: bool) -> tuple[TensorMeta, TensorMeta]:
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return TensorMeta(shape, x.dtype), TensorMeta(shape, int64)


_topk = composite("topk", meta=_topk_meta, outputs=("values", "indices"))


@_topk.decompose
def _(x: Tensor, *, k: int, axis: int, largest: bool) -> tuple[Tensor, Tensor]:
    values, indices = _sort.all(x, axis=axis, descending=largest)
    return narrow(values, axis, 0, k), narrow(indices, axis, 0, k)


@_topk.vjp("x")
def _(grad: Tensor, x_shape: Shape, indices: Tensor, axis: int) -> Tensor:
    return _put_back(grad, x_shape, indices, axis)


def topk(x: Tensor, k: int, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """Return the k largest (or smallest) elements along an axis, in order, and their indices.

    Raises:
        ShapeError: The axis has fewer than k elements.
    """
    if x.ndim == 0:
        x = reshape(x, (1,))
    axis = normalize_axis(axis, x.ndim)
    if not 0 <= k <= x.shape[axis]:
        raise ShapeError(f"topk of {k} does not fit axis {axis} of size {x.shape[axis]}")
    values, indices = _topk.all(x, k=k, axis=axis, largest=largest)
    return values, indices
