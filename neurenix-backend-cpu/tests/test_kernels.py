"""The table of kernels: what the engine serves itself, beside what NumPy's kernels serve."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix as nx
from neurenix.backends.numpy.backend import NumpyBackend
from neurenix.dtypes import FLOATS
from neurenix.ops import elementwise as ew
from neurenix.ops import indexing, reduce
from neurenix_backend_cpu import _native
from neurenix_backend_cpu.kernels import kernels

NATIVE = kernels()
NUMPY = NumpyBackend().kernels()


def test_no_op_of_numpys_table_is_missing() -> None:
    assert NUMPY.keys() - NATIVE.keys() == set()


# NumPy's kernel takes any dtype, but the op makes floats of its input before.
FLOATS_ONLY = {"sigmoid"}
PRIMITIVES = (
    {"add", "sub", "mul", "div", "floor_div", "mod", "pow", "maximum", "minimum"}
    | {"eq", "ne", "lt", "le", "gt", "ge", "where", "logical_not", "cast"}
    | {"bitwise_and", "bitwise_or", "bitwise_xor", "shift_right"}
    | {"neg", "sign", "abs", "exp", "log", "sqrt", "sin", "cos", "tanh", "erf"}
    | {"floor", "ceil", "round", "relu", "sigmoid", "silu", "leaky_relu"}
    | {"sum", "prod", "max", "min", "argmax", "argmin", "copy", "fill", "iota"}
    | {"gather", "scatter", "scatter_add", "take", "take_backward", "put", "random_bits"}
)


def test_the_primitives_are_native() -> None:
    assert set(NATIVE) >= PRIMITIVES


@pytest.mark.parametrize("name", sorted(set(NATIVE) & set(NUMPY)))
def test_a_native_kernel_serves_all_that_numpys_serves(name: str) -> None:
    wanted = frozenset(FLOATS) if name in FLOATS_ONLY else NUMPY[name].dtypes
    assert NATIVE[name].dtypes >= wanted
    assert NATIVE[name].strided or not NUMPY[name].strided
    assert NATIVE[name].in_place or not NUMPY[name].in_place


def test_names_come_once() -> None:
    names = [name for name, *_ in _native.KERNELS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("isa", ["avx512", "avx2", "neon", "portable"])
def test_results_are_numpys_on_every_instruction_set(
    isa: str, instruction_sets: tuple[str, ...]
) -> None:
    if isa not in instruction_sets:
        pytest.skip(f"this processor has no {isa}")
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 70, 1001)).astype(np.float32)
    now = _native.instruction_set()
    _native.set_instruction_set(isa)
    try:
        x, y = nx.Tensor(a), nx.Tensor(b)
        np.testing.assert_array_equal((x + y).numpy(), a + b)
        np.testing.assert_array_equal((x.transpose(0, 1) * 2.0).numpy(), a.T * 2)
        np.testing.assert_array_equal((x > y).numpy(), a > b)
        np.testing.assert_allclose(ew.exp(x).numpy(), np.exp(a), rtol=3e-7)
        np.testing.assert_allclose(
            reduce.sum(x, 0).numpy(), a.sum(0, dtype=np.float64), rtol=1e-5, atol=1e-5
        )
        np.testing.assert_array_equal(reduce.argmax(x, 1).numpy(), a.argmax(1))
    finally:
        _native.set_instruction_set(now)


def test_squares_are_products() -> None:
    x = nx.Tensor(np.linspace(-3, 3, 77, dtype=np.float32))
    np.testing.assert_array_equal((x**2).numpy(), (x * x).numpy())
    np.testing.assert_allclose((x**3).numpy(), x.numpy() ** 3, rtol=1e-6)


def test_an_index_out_of_range_is_an_index_error() -> None:
    x = nx.zeros((4, 3))
    with pytest.raises(IndexError, match="take got the index 7, but the axis has 4 elements"):
        indexing.take(x, nx.Tensor(np.array([1, 7])))
    with pytest.raises(IndexError, match="gather got the index -1"):
        indexing.gather(x, nx.Tensor(np.array([[0, -1, 2]])), 0)


def test_a_negative_power_of_integers_is_refused() -> None:
    with pytest.raises(ValueError, match="negative integer powers"):
        nx.Tensor(np.array([2, 3])) ** nx.Tensor(np.array([1, -1]))
