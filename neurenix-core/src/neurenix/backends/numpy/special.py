"""The error function: within 5 units in the last place in float64, within 1 in float32.

Reference:
    W. J. Cody, "Rational Chebyshev Approximations for the Error Function", Mathematics of
    Computation 23 (1969), pp. 631-637.
"""

from __future__ import annotations

import numpy as np

from neurenix.backends.numpy.scratch import scratch
from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import FLOATS

# Cody's coefficients, from the highest power down. |x| <= 0.46875: erf(x) = x P(x^2) / Q(x^2).
_SMALL_P = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_SMALL_Q = (
    1.0,
    2.36012909523441209e1,
    2.44024637934444173e2,
    1.28261652607737228e3,
    2.84423683343917062e3,
)
# 0.46875 < x <= 4: erfc(x) = exp(-x^2) P(x) / Q(x).
_MIDDLE_P = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594e0,
    6.61191906371416295e1,
    2.98635138197400131e2,
    8.81952221241769090e2,
    1.71204761263407058e3,
    2.05107837782607147e3,
    1.23033935479799725e3,
)
_MIDDLE_Q = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)
# x > 4: erfc(x) = exp(-x^2) / x (1 / sqrt(pi) - P(1 / x^2) / (x^2 Q(1 / x^2))).
_LARGE_P = (
    1.63153871373020978e-2,
    3.05326634961232344e-1,
    3.60344899949804439e-1,
    1.25781726111229246e-1,
    1.60837851487422766e-2,
    6.58749161529837803e-4,
)
_LARGE_Q = (
    1.0,
    2.56852019228982242e0,
    1.87295284992346047e0,
    5.27905102951428412e-1,
    6.05183413124413191e-2,
    2.33520497626869185e-3,
)
_SMALL_LIMIT, _MIDDLE_LIMIT = 0.46875, 4.0

# erf(x) / x on [0, 4] in x^2, to 2.5e-8: a minimax fit (iteratively reweighted least squares),
# enough for float32 where one formula over the whole range beats three. Evaluated in float64,
# since Horner's rule in float32 would lose six units in the last place.
_SINGLE_P = (
    1.98677398e-6,
    2.84567631e-4,
    3.88341091e-3,
    5.31019555e-2,
    1.93546589e-1,
    1.12837914,
)
_SINGLE_Q = (
    3.74201778e-5,
    1.18558774e-3,
    1.52073859e-2,
    1.15350638e-1,
    5.04858754e-1,
    1.0,
)
_SINGLE_LIMIT = 4.0  # beyond it erf rounds to 1 in float32

_BLOCK = 1 << 14


@kernel("erf", dtypes=FLOATS, strided=False)
def erf(out: Array, x: Array) -> None:
    """``2 / sqrt(pi)`` times the integral of ``exp(-t^2)`` from 0 to x."""
    evaluate = _erf_double if x.dtype == np.float64 else _erf_single
    source, target = x.reshape(-1), out.reshape(-1)
    for start in range(0, source.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        evaluate(target[part], source[part])


def _erf_single(out: Array, x: Array) -> None:
    clipped = scratch("special.x", x.shape, np.dtype(np.float64))
    np.clip(x, -_SINGLE_LIMIT, _SINGLE_LIMIT, out=clipped, dtype=np.float64)
    square = np.multiply(clipped, clipped, out=scratch("special.square", x.shape, clipped.dtype))
    numerator = _horner("special.p", _SINGLE_P, square)
    denominator = _horner("special.q", _SINGLE_Q, square)
    np.multiply(numerator, clipped, out=numerator)
    np.divide(numerator, denominator, out=numerator)
    np.clip(numerator, -1.0, 1.0, out=out, casting="unsafe")


def _erf_double(out: Array, x: Array) -> None:
    size = np.abs(x)
    small = size <= _SMALL_LIMIT
    large = size > _MIDDLE_LIMIT
    middle = ~(small | large | np.isnan(x))
    np.copyto(out, x)  # NaN stays NaN
    if small.any():
        y = x[small]
        square = y * y
        p, q = _horner("special.p", _SMALL_P, square), _horner("special.q", _SMALL_Q, square)
        out[small] = y * p / q
    if middle.any():
        y = size[middle]
        p, q = _horner("special.p", _MIDDLE_P, y), _horner("special.q", _MIDDLE_Q, y)
        out[middle] = np.copysign(1 - _exp_minus_square(y) * p / q, x[middle])
    if large.any():
        y = np.minimum(size[large], 8.0)  # there erf is 1 long since, and infinity would give NaN
        inverse = 1 / (y * y)
        p, q = _horner("special.p", _LARGE_P, inverse), _horner("special.q", _LARGE_Q, inverse)
        tail = (1 / np.sqrt(np.pi) - inverse * p / q) / y
        out[large] = np.copysign(1 - _exp_minus_square(y) * tail, x[large])


def _exp_minus_square(y: Array) -> Array:
    """exp(-y^2) without the error of rounding y^2, which exp would magnify.

    With y cut to sixteenths, the square of the cut is exact, and the rest is small.
    """
    cut = np.trunc(y * 16) / 16
    exp: Array = np.exp(-cut * cut) * np.exp(-(y - cut) * (y + cut))
    return exp


def _horner(slot: str, coefficients: tuple[float, ...], x: Array) -> Array:
    value = scratch(slot, x.shape, x.dtype)
    np.multiply(x, coefficients[0], out=value)
    for coefficient in coefficients[1:-1]:
        np.add(value, coefficient, out=value)
        np.multiply(value, x, out=value)
    np.add(value, coefficients[-1], out=value)
    return value
