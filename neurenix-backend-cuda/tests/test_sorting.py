"""Sorting and scattering along lines longer than those of the kit: merging, and sums in parts."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

RunPython = Callable[..., CompletedProcess[str]]

HEAD = """
import numpy as np
import neurenix as nx
device = "gpu_emulated"
rng = np.random.default_rng(0)
def on(array):
    return nx.Tensor(array, device=device)
"""


def check(run_python: RunPython, code: str) -> None:
    done = run_python("-W", "error", "-c", HEAD + code + "print('done')")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "done\n"


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
@pytest.mark.parametrize("length", [1, 5, 1024, 1025, 4500])
def test_lines_of_any_length_are_sorted(run_python: RunPython, dtype: str, length: int) -> None:
    code = f"""
x = (rng.standard_normal((3, {length}, 2)) * 20).astype(np.{dtype})  # with many ties
if x.dtype.kind == "f":
    x[0, ::7] = np.nan
    x[1, ::3] = 0.0
    x[1, 1::3] = -0.0
    x[2, ::5] = -np.inf
for descending in (False, True):
    values, places = (t.numpy() for t in nx.sort(on(x), 1, descending))
    order = np.argsort(x, 1, kind="stable")
    if descending:
        order = x.shape[1] - 1 - np.flip(np.argsort(np.flip(x, 1), 1, kind="stable"), 1)
    np.testing.assert_array_equal(places, order)
    np.testing.assert_array_equal(values, np.take_along_axis(x, order, 1))
"""
    check(run_python, code)


@pytest.mark.parametrize("k", [1, 7, 256, 257, 3000])
def test_the_first_of_a_long_line(run_python: RunPython, k: int) -> None:
    code = f"""
x = rng.integers(0, 500, (2, 5000)).astype(np.float32)
for largest in (False, True):
    values, places = (t.numpy() for t in nx.topk(on(x), {k}, 1, largest))
    order = np.argsort(-x if largest else x, 1, kind="stable")[:, :{k}]
    np.testing.assert_array_equal(places, order)
    np.testing.assert_array_equal(values, np.take_along_axis(x, order, 1))
"""
    check(run_python, code)


@pytest.mark.parametrize("targets", [1, 3, 4000])
def test_what_meets_in_one_place_of_a_long_line_is_added(
    run_python: RunPython, targets: int
) -> None:
    code = f"""
index = rng.integers(0, {targets}, 5000)
value = rng.standard_normal(5000).astype(np.float32)
x = rng.standard_normal({targets}).astype(np.float32)
expected = x.astype(np.float64)
np.add.at(expected, index, value.astype(np.float64))
first = nx.scatter_add(on(x), on(index), on(value), 0).numpy()
np.testing.assert_allclose(first, expected, atol=2e-4)
half = nx.scatter_add(on(x).astype(nx.bfloat16), on(index), on(value), 0).float().numpy()
np.testing.assert_allclose(half, expected, rtol=2e-2, atol=0.5)
again = nx.scatter_add(on(x), on(index), on(value), 0).numpy()
np.testing.assert_array_equal(first, again)
whole = nx.scatter_add(on((x * 8).astype(np.int32)), on(index), on(index.astype(np.int32)), 0)
expected = (x * 8).astype(np.int32)
np.add.at(expected, index, index.astype(np.int32))
np.testing.assert_array_equal(whole.numpy(), expected)
"""
    check(run_python, code)


def test_the_last_value_for_a_place_stays(run_python: RunPython) -> None:
    code = """
index = rng.integers(0, 50, (5000, 2))
value = rng.standard_normal((5000, 2)).astype(np.float32)
out = nx.scatter(on(np.zeros((60, 2), np.float32)), on(index), on(value), 0).numpy()
expected = np.zeros((60, 2), np.float32)
for i in range(5000):
    for column in range(2):
        expected[index[i, column], column] = value[i, column]
np.testing.assert_array_equal(out, expected)
"""
    check(run_python, code)


def test_gradients_of_a_table_meet_in_its_rows(run_python: RunPython) -> None:
    code = """
index = np.where(rng.random(2000) < 0.5, 0, rng.integers(0, 30, 2000))  # much padding
table = nx.Tensor(rng.standard_normal((30, 5)).astype(np.float32), device=device)
table.requires_grad = True
weight = rng.standard_normal((2000, 5)).astype(np.float32)
(nx.take(table, on(index)) * on(weight)).sum().backward()
expected = np.zeros((30, 5))
np.add.at(expected, index, weight.astype(np.float64))
np.testing.assert_allclose(table.grad.numpy(), expected, atol=2e-4)
"""
    check(run_python, code)
