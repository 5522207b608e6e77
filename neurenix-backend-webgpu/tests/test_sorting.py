"""Sorting: rows that one workgroup holds, and longer ones, against NumPy's stable order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix as nx

# A workgroup sorts 1024 places.
SHAPES = [((1,), 0), ((37, 5), 0), ((2, 1024), 1), ((2, 1025, 3), 1), ((9000,), 0)]
DTYPES: list[Any] = [np.float32, np.int64, np.uint8]


def _array(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    array = rng.integers(0, 50, shape).astype(dtype)  # with many that are equal
    if dtype is np.float32:
        array.reshape(-1)[::7] = np.nan
        array.reshape(-1)[::11] = -np.inf
    return array


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_upwards_it_is_the_order_of_numpy(shape: tuple[int, ...], axis: int, dtype: Any) -> None:
    array = _array(shape, dtype)
    values, indices = nx.sort(nx.Tensor(array, device="webgpu"), axis)
    expected = np.argsort(array, axis, kind="stable")
    np.testing.assert_array_equal(indices.numpy(), expected)
    np.testing.assert_array_equal(values.numpy(), np.take_along_axis(array, expected, axis))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_downwards_equal_elements_keep_their_order(
    shape: tuple[int, ...], axis: int, dtype: Any
) -> None:
    array = _array(shape, dtype)
    ranks = np.unique(array, return_inverse=True, equal_nan=True)[1].reshape(shape)
    expected = np.argsort(-ranks, axis, kind="stable")
    _, indices = nx.sort(nx.Tensor(array, device="webgpu"), axis, descending=True)
    np.testing.assert_array_equal(indices.numpy(), expected)


def test_the_first_few_of_long_rows_are_the_largest() -> None:
    array = np.random.default_rng(0).normal(size=(3, 3000)).astype(np.float32)
    x = nx.Tensor(array, device="webgpu")
    for largest in (True, False):
        values, indices = nx.topk(x, 5, largest=largest)
        expected = np.argsort(-array if largest else array, 1, kind="stable")[:, :5]
        np.testing.assert_array_equal(indices.numpy(), expected)
        np.testing.assert_array_equal(values.numpy(), np.take_along_axis(array, expected, 1))
