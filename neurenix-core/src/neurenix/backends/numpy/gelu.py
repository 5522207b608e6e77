"""gelu: within 2e-7 max(1, |x|) in float32, as exact as erf in float64."""

from __future__ import annotations

import math

import numpy as np

from neurenix.backends.numpy.scratch import scratch
from neurenix.backends.numpy.special import erf
from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import FLOATS, compute_dtype

# The standard normal distribution function is (1 + tanh(x P(x^2))) / 2 with a smooth function P,
# since NumPy has a fast tanh and no erf. This polynomial, from the highest power down, was fitted
# (iteratively reweighted least squares, up to |x| = 5.6, beyond which tanh rounds to 1) so that
# the largest error of gelu is least: 7e-8 before rounding. Its first coefficient is positive, so
# that it keeps growing.
_SINGLE_P = (
    1.80563002509912686e-9,
    -1.33447042843395365e-7,
    3.96912029428475917e-6,
    -5.52402437806078553e-5,
    -3.31296787823168557e-5,
    3.63342830187615772e-2,
    7.97884216348398794e-1,
)
# The approximation that networks are trained with: sqrt(2 / pi) (x + 0.044715 x^3).
_TANH_P = (0.044715 * math.sqrt(2.0 / math.pi), math.sqrt(2.0 / math.pi))
_SQRT_HALF = math.sqrt(0.5)

_BLOCK = 1 << 15  # 128 KiB of float32: what a block needs stays in the L2 cache


@kernel("gelu", dtypes=FLOATS, strided=False)
def gelu(out: Array, x: Array, *, approximate: str) -> None:
    """X times the standard normal distribution function of x, or its approximation by tanh."""
    dtype = compute_dtype(x.dtype)
    by_tanh = approximate == "tanh" or dtype == np.float32
    coefficients = _TANH_P if approximate == "tanh" else _SINGLE_P
    source, target = x.reshape(-1), out.reshape(-1)
    for start in range(0, source.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        block = source[part].astype(dtype, copy=False)
        work = scratch("gelu.work", block.shape, dtype)
        if by_tanh:
            _argument(work, block, coefficients)
            np.tanh(work, out=work)
        else:
            half = scratch("gelu.half", block.shape, dtype)
            np.multiply(block, _SQRT_HALF, out=half)
            erf(work, half)
        np.add(work, 1, out=work)
        np.multiply(work, block, out=work)
        np.multiply(work, 0.5, out=target[part], casting="unsafe")


def _argument(out: Array, x: Array, coefficients: tuple[float, ...]) -> None:
    """Write ``x P(x^2)``, by Horner's rule."""
    square = np.multiply(x, x, out=scratch("gelu.square", x.shape, x.dtype))
    np.multiply(square, coefficients[0], out=out)
    for coefficient in coefficients[1:-1]:
        np.add(out, coefficient, out=out)
        np.multiply(out, square, out=out)
    np.add(out, coefficients[-1], out=out)
    np.multiply(out, x, out=out)
