"""Indexing along an axis: gather, scatter, scatter_add, take, and the gradient of take.

An index out of range is an error. Sums over equal indices are taken in the order of the values,
so that they are deterministic.
"""

from __future__ import annotations

import numpy as np

from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import compute_dtype


def _check(index: Array, size: int, op: str) -> None:
    if index.size and not ((low := int(index.min())) >= 0 and (high := int(index.max())) < size):
        wrong = low if low < 0 else high
        raise IndexError(
            f"{op} got the index {wrong}, but the axis has {size} elements; indices must be "
            f"from 0 to {size - 1}"
        )


def _places(index: Array, axis: int) -> tuple[Array, ...]:
    """Index arrays, one an axis, of the elements that ``index`` names along ``axis``."""
    grid = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[axis] = index
    return tuple(grid)


@kernel("gather", strided=True)
def gather(out: Array, x: Array, index: Array, *, axis: int) -> None:
    """``out[i][j] = x[index[i][j]][j]`` for axis 0 of two, and so on."""
    _check(index, x.shape[axis], "gather")
    out[...] = x[_places(index, axis)]


@kernel("scatter", strided=True)
def scatter(out: Array, x: Array, index: Array, value: Array, *, axis: int) -> None:
    """A copy of ``x`` with ``value`` written to the places of ``index``; the last one wins."""
    _check(index, x.shape[axis], "scatter")
    np.copyto(out, x)
    part = tuple(slice(n) for n in index.shape)
    out[_places(index, axis)] = value[part]


@kernel("scatter_add", strided=True)
def scatter_add(out: Array, x: Array, index: Array, value: Array, *, axis: int) -> None:
    """A copy of ``x`` with ``value`` added at the places of ``index``."""
    _check(index, x.shape[axis], "scatter_add")
    part = value[tuple(slice(n) for n in index.shape)]
    dtype = compute_dtype(out.dtype)
    total = out if out.dtype == dtype else np.empty(out.shape, dtype)
    np.copyto(total, x)
    if index.size:
        places = np.ravel_multi_index(
            np.broadcast_arrays(*_places(index, axis)),
            out.shape,
        )
        np.add.at(total.reshape(-1), places.reshape(-1), part.reshape(-1).astype(dtype))
    if total is not out:
        out[...] = total


@kernel("take", strided=False)
def take(out: Array, x: Array, index: Array) -> None:
    """The slices of ``x`` along its first axis that ``index`` names."""
    _check(index, x.shape[0], "take")
    np.take(x, index, axis=0, out=out, mode="clip")


@kernel("take_backward", strided=False)
def take_backward(out: Array, grad: Array, index: Array, *, rows: int) -> None:
    """Sum of the gradients of each slice; sorting brings together what belongs together."""
    out[...] = 0
    if grad.size == 0:
        return
    parts = grad.reshape(index.size, -1)
    flat = index.reshape(-1)
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    sums = np.add.reduceat(parts[order].astype(compute_dtype(out.dtype)), starts, axis=0)
    out.reshape(rows, -1)[ordered[starts]] = sums
