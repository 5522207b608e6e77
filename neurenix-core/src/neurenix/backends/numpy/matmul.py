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
    if x.ndim > 2 and x.size and out.size and x.flags.c_contiguous:
        # One product of all rows: over leading axes, NumPy multiplies matrix by matrix.
        matmul(out.reshape(-1, out.shape[-1]), x.reshape(-1, x.shape[-1]), weight.T)
    else:
        matmul(out, x, weight.T)
    if bias is not None:
        np.add(out, bias, out=out)
