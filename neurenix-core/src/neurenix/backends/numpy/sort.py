"""Stable sorting and the k largest or smallest. NaN counts as larger than every number."""

from __future__ import annotations

import numpy as np

from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import compute_dtype


@kernel("sort", strided=False)
def sort(out: tuple[Array, Array], x: Array, *, axis: int, descending: bool) -> None:
    """Sorted values and their places; equal values keep their order."""
    values, indices = out
    order = _argsort(x, axis, descending)
    indices[...] = order
    values[...] = np.take_along_axis(x, order, axis)


@kernel("topk", strided=False)
def topk(out: tuple[Array, Array], x: Array, *, k: int, axis: int, largest: bool) -> None:
    """The k largest (or smallest) values, in order; of equal ones the first counts."""
    values, indices = out
    first = (*(slice(None),) * (axis % x.ndim), slice(k))
    order = _argsort(x, axis, largest)[first]
    indices[...] = order
    values[...] = np.take_along_axis(x, order, axis)


def _argsort(x: Array, axis: int, descending: bool) -> Array:
    x = x.astype(compute_dtype(x.dtype), copy=False)
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    # Ascending order of the reversed array, read backwards, keeps equal values in their order.
    order = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    reversed_order: Array = x.shape[axis] - 1 - np.flip(order, axis)
    return reversed_order
