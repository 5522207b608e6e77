"""Tensors of more bytes than a shader may see at once: elementwise work on them is cut up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix.backends import resolve

Array = np.ndarray[Any, Any]


@pytest.fixture
def limit() -> Iterator[Callable[[int], None]]:
    """Return a function that has the device bind at most so many bytes."""
    device: Any = resolve("webgpu").backend.device(0)
    yield device.set_binding_limit
    device.set_binding_limit(None)


def _on_both(function: Callable[..., nx.Tensor], *arrays: Array) -> tuple[Array, Array]:
    found = function(*(nx.Tensor(array, device="webgpu") for array in arrays)).numpy()
    return found, function(*(nx.Tensor(array, device="cpu") for array in arrays)).numpy()


def test_indices_count_from_the_first_element(limit: Callable[[int], None]) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 99, (20_000, 2)).astype(np.int16)
    index = rng.integers(0, 2, (20_000, 2)).astype(np.int64)
    limit(100_000)
    found, expected = _on_both(lambda x, i: nx.ops.gather(x, i, 1), x, index)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("op", "along"), [("scatter", 1), ("scatter", 33), ("scatter_add", 1)])
def test_what_is_written_by_index_finds_its_place(
    limit: Callable[[int], None], op: str, along: int
) -> None:
    rng = np.random.default_rng(0)
    rows = 10_000 // along
    x = rng.integers(0, 99, (rows, along + 1)).astype(np.int64)
    index = rng.integers(0, along + 1, (rows, along)).astype(np.int32)
    value = rng.integers(0, 99, (rows, along)).astype(np.int64)
    limit(value.nbytes)
    function = getattr(nx.ops, op)
    found, expected = _on_both(lambda x, i, v: function(x, i, v, 1), x, index, value)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("op", ["sum", "argmax"])
def test_reductions_of_a_few_elements_read_their_own(limit: Callable[[int], None], op: str) -> None:
    x = np.random.default_rng(0).integers(0, 99, (20_000, 2)).astype(np.uint8)
    limit(100_000)
    found, expected = _on_both(lambda x: getattr(x, op)(1), x)
    np.testing.assert_array_equal(found, expected)


def test_an_op_that_cannot_be_cut_says_what_it_would_need(limit: Callable[[int], None]) -> None:
    x = nx.ones((300, 300), device="webgpu")
    limit(100_000)
    with pytest.raises(Exception, match="max_storage_buffer_binding_size"):
        (x @ x).numpy()
