"""The pooling kernels against loops over every window."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from neurenix.backends.numpy.pool import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    avg_pool2d,
    avg_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
)

# size, kernel, stride, padding, dilation
CASES: list[Any] = [
    ((6, 7), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    ((7, 6), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    ((8, 9), (3, 2), (1, 3), ((1, 0), (0, 1)), (1, 1)),
    ((9, 9), (3, 3), (2, 1), ((1, 1), (1, 1)), (2, 3)),
    ((5, 5), (4, 4), (1, 1), ((2, 2), (2, 2)), (1, 1)),
    ((5, 4), (5, 4), (5, 4), ((0, 0), (0, 0)), (1, 1)),
    ((20, 20), (17, 18), (1, 1), ((0, 0), (0, 0)), (1, 1)),  # more than 256 window elements
]


def windows(case: Any) -> tuple[tuple[int, int], Any]:
    size, kernel, stride, padding, dilation = case
    out = [
        (size[a] + sum(padding[a]) - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1
        for a in (0, 1)
    ]

    def inside(y: int, z: int) -> list[tuple[int, int]]:
        places = []
        for i, j in itertools.product(range(kernel[0]), range(kernel[1])):
            row = y * stride[0] + i * dilation[0] - padding[0][0]
            column = z * stride[1] + j * dilation[1] - padding[1][0]
            if 0 <= row < size[0] and 0 <= column < size[1]:
                places.append((row, column))
        return places

    return (out[0], out[1]), inside


@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "int32", "ties", "nan", "-inf"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_max_pool2d(case: Any, kind: str) -> None:
    size, kernel, stride, padding, dilation = case
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 3, *size)) * 10
    if kind == "ties":
        x = rng.integers(0, 2, x.shape).astype(np.float32)
    elif kind == "nan":
        x[rng.random(x.shape) < 0.1] = np.nan
    elif kind == "-inf":
        x[rng.random(x.shape) < 0.9] = -np.inf
    else:
        x = x.astype(kind)
    out_size, inside = windows(case)
    values = np.empty((2, 3, *out_size), x.dtype)
    indices = np.full(values.shape, -1, np.int64)
    p = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    max_pool2d((values, indices), x, **p)
    grad = rng.standard_normal(values.shape)
    expected_dx = np.zeros(x.shape)
    for n, c, y, z in itertools.product(*map(range, values.shape)):
        places = inside(y, z)
        best = places[int(np.argmax([x[n, c, i, j] for i, j in places]))]  # first NaN, first max
        np.testing.assert_array_equal(values[n, c, y, z], x[n, c, *best])
        assert indices[n, c, y, z] == best[0] * size[1] + best[1]
        expected_dx[n, c, *best] += grad[n, c, y, z]
    dx = np.full(x.shape, np.nan)
    max_pool2d_backward(dx, grad, indices, input_shape=x.shape)
    np.testing.assert_allclose(dx, expected_dx, atol=1e-12)


@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize("case", [c for c in CASES if c[-1] == (1, 1)], ids=str)
def test_avg_pool2d(case: Any, count_include_pad: bool) -> None:
    size, kernel, stride, padding, _ = case
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 3, *size))
    out_size, inside = windows(case)
    out, dx = np.empty((2, 3, *out_size)), np.full(x.shape, np.nan)
    grad = rng.standard_normal(out.shape)
    p = {
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "count_include_pad": count_include_pad,
    }
    avg_pool2d(out, x, **p)
    avg_pool2d_backward(dx, grad, input_shape=x.shape, **p)
    expected, expected_dx = np.empty_like(out), np.zeros_like(x)
    for n, c, y, z in itertools.product(*map(range, out.shape)):
        places = inside(y, z)
        count = kernel[0] * kernel[1] if count_include_pad else len(places)
        expected[n, c, y, z] = sum(x[n, c, i, j] for i, j in places) / count
        for i, j in places:
            expected_dx[n, c, i, j] += grad[n, c, y, z] / count
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dx, expected_dx, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5), (9, 8)])
@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_adaptive_avg_pool2d(size: tuple[int, int], dtype: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 3, 7, 5)).astype(dtype)
    out, dx = np.empty((2, 3, *size), dtype), np.full(x.shape, np.nan, dtype)
    grad = rng.standard_normal(out.shape).astype(dtype)
    adaptive_avg_pool2d(out, x, output_size=size)
    adaptive_avg_pool2d_backward(dx, grad, input_shape=x.shape)
    expected, expected_dx = np.empty(out.shape), np.zeros(x.shape)
    for y, z in itertools.product(range(size[0]), range(size[1])):
        rows = slice(y * 7 // size[0], -(-(y + 1) * 7 // size[0]))
        columns = slice(z * 5 // size[1], -(-(z + 1) * 5 // size[1]))
        region = np.s_[:, :, rows, columns]
        expected[:, :, y, z] = x[region].mean((2, 3), dtype=np.float64)
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        expected_dx[region] += grad[:, :, y, z, None, None].astype(np.float64) / area
    tolerance = 1e-12 if dtype == "float64" else 2e-3
    np.testing.assert_allclose(out, expected, atol=tolerance, rtol=tolerance)
    np.testing.assert_allclose(dx, expected_dx, atol=tolerance, rtol=tolerance)


def test_empty_batches() -> None:
    x = np.empty((0, 3, 6, 6))
    p = {"kernel_size": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0))}
    out = np.empty((0, 3, 3, 3))
    max_pool2d((out, np.empty(out.shape, np.int64)), x, dilation=(1, 1), **p)
    max_pool2d_backward(x, out, np.empty(out.shape, np.int64), input_shape=x.shape)
    avg_pool2d(out, x, count_include_pad=True, **p)
    avg_pool2d_backward(x, out, input_shape=x.shape, count_include_pad=True, **p)
    adaptive_avg_pool2d(np.empty((0, 3, 1, 1)), x, output_size=(1, 1))
    adaptive_avg_pool2d_backward(x, np.empty((0, 3, 1, 1)), input_shape=x.shape)
