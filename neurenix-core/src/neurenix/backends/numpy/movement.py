"""Kernels that fill, count and move elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import compute_dtype


@kernel("fill")
def fill(out: Array, *, shape: tuple[int, ...], value: Any, dtype: Any) -> None:
    """One value everywhere."""
    np.copyto(out, value, casting="unsafe")


@kernel("iota")
def iota(out: Array, *, size: int, start: Any, step: Any, dtype: Any) -> None:
    """``start + i * step``; in float64 for floats, so that long ranges do not drift."""
    integral = isinstance(start, int) and isinstance(step, int)
    steps = np.arange(size, dtype=np.int64 if integral else np.float64)
    np.copyto(out, steps * step + start, casting="unsafe")


@kernel("copy")
def copy(out: Array, x: Array) -> None:
    """Strided to strided."""
    np.copyto(out, x)


@kernel("pad")
def pad(out: Array, x: Array, *, widths: Any, interior: Any, value: Any) -> None:
    """A border of a value around, and ``interior`` of it between, the elements."""
    np.copyto(out, value, casting="unsafe")
    box = tuple(
        slice(before, before + (size - 1) * (between + 1) + 1 if size else before, between + 1)
        for size, (before, _), between in zip(x.shape, widths, interior, strict=True)
    )
    out[box] = x


@kernel("concat")
def concat(out: Array, *xs: Array, axis: int, sizes: tuple[int, ...]) -> None:
    """One after the other along an axis."""
    np.concatenate(xs, axis=axis, out=out)


@kernel("put")
def put(out: Array, x: Array, value: Array, *indices: Array) -> None:
    """In place: ``out`` is ``x``."""
    out[indices] = value


@kernel("relu", in_place=True)
def relu(out: Array, x: Array) -> None:
    """max(x, 0), where NaN stays NaN."""
    np.maximum(x, x.dtype.type(0), out=out)  # a Python 0 would make an integer of a bool


@kernel("sigmoid", in_place=True)
def sigmoid(out: Array, x: Array) -> None:
    """1 / (1 + exp(-x)), without overflow."""
    wide = compute_dtype(x.dtype)
    small = np.exp(-np.abs(x.astype(wide, copy=False)))
    np.copyto(out, np.where(x >= 0, 1, small) / (1 + small), casting="unsafe")
