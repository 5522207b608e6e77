"""The error function against the C library's, in units in the last place."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from neurenix.backends.numpy.special import erf

X = np.concatenate(
    [np.linspace(-7, 7, 20001), np.linspace(-1e-3, 1e-3, 999), [0.0, 1e-300, 30, np.inf, -np.inf]]
)


@pytest.mark.parametrize(("dtype", "ulp"), [("float64", 6), ("float32", 1), ("float16", 0.51)])
def test_erf(dtype: str, ulp: float) -> None:
    x = X.astype(dtype)
    out = np.empty_like(x)
    erf(out, x)
    exact = np.array([math.erf(float(v)) for v in x])
    error = np.abs(out.astype(np.float64) - exact) / np.spacing(np.abs(exact.astype(dtype)))
    assert float(error.max()) <= ulp


def test_erf_is_odd_and_keeps_nan() -> None:
    for dtype in (np.float64, np.float32, ml_dtypes.bfloat16):
        x = np.array([0.3, 1.7, 5, np.nan, 0.0], dtype)
        positive, negative = np.empty_like(x), np.empty_like(x)
        erf(positive, x)
        erf(negative, -x)
        np.testing.assert_array_equal(positive.astype(float), -negative.astype(float))
        assert np.isnan(positive[3])
        assert list(np.signbit([positive[4], negative[4]])) == [False, True]
