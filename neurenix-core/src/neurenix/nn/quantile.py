"""The quantile function of the normal distribution."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"

# Polynomials in w = -log((1 - x)(1 + x)) for erfinv(x) / x, around the centre and in the tails;
# highest power first. Reference: Giles, "Approximating the erfinv function", GPU Computing Gems,
# 2011: the single-precision version, accurate to a relative 4e-7 for p from 1e-7 to 1 - 1e-7.
_CENTRE = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
    -0.00125372503, -0.00417768164, 0.246640727, 1.50140941,
)  # fmt: skip
_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
    -0.0076224613, 0.00943887047, 1.00167406, 2.83297682,
)  # fmt: skip


def normal_quantile(p: Array) -> Array:
    """Return the values below which a standard normal variable lies with probability p."""
    x = 2.0 * np.clip(p, 2.0**-53, 1.0 - 2.0**-53) - 1.0
    w = -np.log((1.0 - x) * (1.0 + x))
    centre = np.polyval(_CENTRE, w - 2.5)
    tail = np.polyval(_TAIL, np.sqrt(w) - 3.0)
    inverse: Array = np.where(w < 5.0, centre, tail) * x
    return inverse * math.sqrt(2.0)
