"""Matrix products. 16-bit floats multiply and accumulate in float32."""

from __future__ import annotations

import numpy as np

from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import FLOATS, INTS, compute_dtype


@kernel("matmul", dtypes=(*FLOATS, *INTS))
def matmul(out: Array, x: Array, y: Array) -> None:
    """The product over the last two axes."""
    wide = compute_dtype(x.dtype)
    if wide == x.dtype:
        np.matmul(x, y, out=out)
    else:
        out[...] = np.matmul(x.astype(wide), y.astype(wide))


@kernel("linear", dtypes=FLOATS)
def linear(out: Array, x: Array, weight: Array, bias: Array | None) -> None:
    """X W^T + b."""
    matmul(out, x, weight.T)
    if bias is not None:
        np.add(out, bias, out=out)
