"""Values put at places that several indices name: the last stays, whatever the GPU does first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix.graph import make_executable, trace_function

DTYPES: list[Any] = [np.float32, np.float16, np.int64, np.uint8, np.bool_]


def _arrays(dtype: Any) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 99, (6, 10, 3)).astype(dtype)
    rows, columns = (rng.integers(0, size, (40,)) for size in (6, 10))  # with many that meet
    return x, rng.integers(0, 99, (40, 3)).astype(dtype), rows, columns


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_last_of_those_that_meet_stays(dtype: Any) -> None:
    x, value, rows, columns = _arrays(dtype)
    expected = x.copy()
    expected[rows, columns] = value
    found = nx.Tensor(x, device="webgpu")
    found[nx.Tensor(rows, device="webgpu"), nx.Tensor(columns, device="webgpu")] = nx.Tensor(
        value, device="webgpu"
    )
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_view_with_gaps_is_written_where_it_lies(dtype: Any) -> None:
    x, value, rows, columns = _arrays(dtype)
    expected = np.concatenate([x, x], 2)
    expected[:, :, ::2][rows, columns] = value

    def write(x: nx.Tensor, value: nx.Tensor, rows: nx.Tensor, columns: nx.Tensor) -> nx.Tensor:
        x[:, :, ::2][rows, columns] = value
        return x.reshape(-1)[:1]

    for planned in (False, True):
        whole = nx.Tensor(np.concatenate([x, x], 2), device="webgpu")
        given = [whole, *(nx.Tensor(array, device="webgpu") for array in (value, rows, columns))]
        if planned:
            make_executable(trace_function(write, *given)).run(given)
        else:
            write(*given)
        np.testing.assert_array_equal(whole.numpy(), expected)


def test_an_index_out_of_range_is_reported_by_whoever_waits() -> None:
    def write(x: nx.Tensor, rows: nx.Tensor, columns: nx.Tensor) -> nx.Tensor:
        x[rows, columns] = 1.0
        return x * 2.0

    def indices(*numbers: int) -> nx.Tensor:
        return nx.Tensor(np.array(numbers, np.int32), device="webgpu")

    x = nx.zeros((4, 5), device="webgpu")
    executable = make_executable(trace_function(write, x, indices(0, 0), indices(0, 0)))
    (doubled,) = executable.run([x, indices(1, 2), indices(0, 4)])
    assert doubled.sum().item() == 4.0
    (doubled,) = executable.run([x, indices(1, 2), indices(0, 7)])
    with pytest.raises(IndexError, match="put got the index 7, but the axis has 5 elements"):
        doubled.numpy()
    assert x.sum().item() == 2.0
