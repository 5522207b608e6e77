"""Gather, scatter, take, sort and topk kernels against loops."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from neurenix.backends.numpy.scatter import (
    gather,
    scatter,
    scatter_add,
    take,
    take_backward,
)
from neurenix.backends.numpy.sort import sort, topk

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(4, 5, 3), (2, 3, 2), (0, 2, 2), (3, 5, 3)])
def test_gather_and_scatter(shape: tuple[int, ...], axis: int) -> None:
    x = RNG.standard_normal((4, 5, 3))
    index = RNG.integers(0, x.shape[axis], shape)
    src = RNG.standard_normal((4, 5, 3))
    gathered, expected_gather = np.empty(shape), np.empty(shape)
    expected_set, expected_sum = x.copy(), x.copy()
    for place in np.ndindex(shape):
        at = (*place[:axis], index[place], *place[axis + 1 :])
        expected_gather[place] = x[at]
        expected_set[at] = src[place]
        expected_sum[at] += src[place]
    gather(gathered, x, index, axis=axis)
    np.testing.assert_array_equal(gathered, expected_gather)
    out = np.empty_like(x)
    scatter(out, x, index, src, axis=axis)
    np.testing.assert_array_equal(out, expected_set)
    scatter_add(out, x, index, src, axis=axis)
    np.testing.assert_allclose(out, expected_sum, rtol=1e-13, atol=1e-13)


def test_scatter_add_of_16_bit_floats_sums_in_float32() -> None:
    x = np.zeros(1, ml_dtypes.bfloat16)
    out, src = np.empty_like(x), np.ones(1000, ml_dtypes.bfloat16)
    scatter_add(out, x, np.zeros(1000, np.int64), src, axis=0)
    assert out[0] == 1000  # in bfloat16, 256 + 1 is 256 again


@pytest.mark.parametrize("wrong", [-1, 5])
def test_an_index_out_of_range_is_an_error(wrong: int) -> None:
    x, index = np.zeros((5, 2)), np.array([[0, wrong]])
    message = rf"index {wrong}, .* from 0 to 4"
    with pytest.raises(IndexError, match=message):
        gather(np.empty((1, 2)), x, index, axis=0)
    with pytest.raises(IndexError, match=message):
        scatter(np.empty_like(x), x, index, x, axis=0)
    with pytest.raises(IndexError, match=message):
        scatter_add(np.empty_like(x), x, index, x, axis=0)
    with pytest.raises(IndexError, match=message):
        take(np.empty((1, 2, 2)), x, index)


@pytest.mark.parametrize("shape", [(), (0,), (50,), (3, 4)])
def test_take(shape: tuple[int, ...]) -> None:
    weight = RNG.standard_normal((6, 3))
    indices = np.asarray(RNG.integers(0, 5, shape))
    out, grad = np.empty((*shape, 3)), RNG.standard_normal((*shape, 3))
    take(out, weight, indices)
    np.testing.assert_array_equal(out, weight[indices])
    dw, expected = np.full_like(weight, np.nan), np.zeros_like(weight)
    take_backward(dw, grad, indices, rows=6)
    np.add.at(expected, indices, grad)
    np.testing.assert_allclose(dw, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "bool", "bfloat16"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("descending", [False, True])
def test_sort_is_stable(dtype: str, axis: int, descending: bool) -> None:
    x: Any = RNG.integers(0, 3, (40, 7)).astype(dtype)
    values, indices = np.empty_like(x), np.empty(x.shape, np.int64)
    sort((values, indices), x, axis=axis, descending=descending)
    for line, got, places in zip(
        np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1).T,
        np.moveaxis(values, axis, 0).reshape(x.shape[axis], -1).T,
        np.moveaxis(indices, axis, 0).reshape(x.shape[axis], -1).T,
        strict=True,
    ):
        expected = sorted(range(len(line)), key=lambda i: float(line[i]), reverse=descending)
        np.testing.assert_array_equal(places, expected)
        np.testing.assert_array_equal(got, line[expected])


def test_nan_sorts_as_the_largest() -> None:
    x = np.array([2, np.nan, -np.inf, np.inf, np.nan], np.float32)
    values, indices = np.empty_like(x), np.empty(5, np.int64)
    sort((values, indices), x, axis=0, descending=False)
    np.testing.assert_array_equal(indices, [2, 0, 3, 1, 4])
    sort((values, indices), x, axis=0, descending=True)
    np.testing.assert_array_equal(indices, [1, 4, 3, 0, 2])


@pytest.mark.parametrize("largest", [True, False])
def test_topk(largest: bool) -> None:
    x = RNG.integers(0, 9, (3, 20, 2)).astype(np.float32)
    values, indices = np.empty((3, 4, 2), np.float32), np.empty((3, 4, 2), np.int64)
    topk((values, indices), x, k=4, axis=1, largest=largest)
    everything = np.empty_like(x), np.empty(x.shape, np.int64)
    sort(everything, x, axis=1, descending=largest)
    np.testing.assert_array_equal(values, everything[0][:, :4])
    np.testing.assert_array_equal(indices, everything[1][:, :4])
