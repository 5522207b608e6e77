"""Reductions. 16-bit floats accumulate in float32."""

from __future__ import annotations

import numpy as np

from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import compute_dtype

Axes = tuple[int, ...]


@kernel("sum")
def sum(out: Array, x: Array, *, axes: Axes, keepdims: bool) -> None:
    """The sum; integers in the dtype of ``out``."""
    out[...] = np.sum(x, axis=axes, keepdims=keepdims, dtype=compute_dtype(out.dtype))


@kernel("prod")
def prod(out: Array, x: Array, *, axes: Axes, keepdims: bool) -> None:
    """The product."""
    out[...] = np.prod(x, axis=axes, keepdims=keepdims, dtype=compute_dtype(out.dtype))


@kernel("max")
def max(out: Array, x: Array, *, axes: Axes, keepdims: bool) -> None:
    """The maximum; NaN wins."""
    np.max(x, axis=axes, keepdims=keepdims, out=out)


@kernel("min")
def min(out: Array, x: Array, *, axes: Axes, keepdims: bool) -> None:
    """The minimum; NaN wins."""
    np.min(x, axis=axes, keepdims=keepdims, out=out)


@kernel("argmax")
def argmax(out: Array, x: Array, *, axes: Axes, keepdims: bool) -> None:
    """The index of the first maximum; the first NaN wins."""
    np.argmax(x, axis=axes[0], keepdims=keepdims, out=out)


@kernel("argmin")
def argmin(out: Array, x: Array, *, axes: Axes, keepdims: bool) -> None:
    """The index of the first minimum; the first NaN wins."""
    np.argmin(x, axis=axes[0], keepdims=keepdims, out=out)
