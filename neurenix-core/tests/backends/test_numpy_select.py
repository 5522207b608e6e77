"""Branchless choice against numpy.where, bit for bit."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from neurenix.backends.numpy.select import select

RNG = np.random.default_rng(2)
DTYPES = ["float32", "float64", "float16", ml_dtypes.bfloat16, "int8", "uint8", "int64", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("condition", "x", "y"),
    [
        ((300, 40), (300, 40), (300, 40)),
        ((300, 1), (40,), ()),
        ((), (300, 40), (300, 40)),
        ((1, 70_000), (), (2, 1)),
        ((2, 3), (2, 3), (2, 3)),
        ((0, 3), (1, 3), (0, 1)),
        ((), (), ()),
    ],
)
def test_select(
    condition: tuple[int, ...], x: tuple[int, ...], y: tuple[int, ...], dtype: str
) -> None:
    c = np.asarray(RNG.random(condition) < 0.5)
    a, b = (np.asarray(RNG.standard_normal(shape) * 9).astype(dtype) for shape in (x, y))
    if a.dtype == np.float32 and a.size > 3:
        a.reshape(-1)[:3] = [np.nan, -0.0, np.inf]
    expected = np.where(c, a, b)
    out = np.empty(expected.shape, expected.dtype)
    select(out, c, a, b)
    assert out.tobytes() == expected.tobytes()


def test_select_of_strided_arrays() -> None:
    c = (RNG.random((80, 200)) < 0.5)[:, ::2]
    x, y = RNG.standard_normal((100, 80)).T, RNG.standard_normal((80, 300))[:, ::3]
    out = np.empty((80, 100))
    select(out, c, x, y)
    np.testing.assert_array_equal(out, np.where(c, x, y))
