"""Elementwise ops against NumPy: values, broadcasting, promotion, weak scalars, NaN."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import neurenix as nx
from neurenix.errors import DTypeError, ShapeError
from neurenix.graph import trace_function
from neurenix.ops.scalars import number_of

UNARY = {
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
}
BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "mod": np.mod,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}
EDGES = np.array([-np.inf, -2.5, -0.5, -0.0, 0.0, 0.5, 1.5, np.inf, np.nan], np.float32)


@pytest.mark.parametrize("name", UNARY)
def test_unary_equals_numpy_at_the_edges_without_a_warning(name: str) -> None:
    with np.errstate(all="ignore"):
        expected = UNARY[name](EDGES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = getattr(nx, name)(nx.Tensor(EDGES))
    np.testing.assert_array_equal(ours.numpy(), expected)
    assert ours.dtype == nx.float32


@pytest.mark.parametrize("name", BINARY)
def test_binary_broadcasts_like_numpy(name: str) -> None:
    x, y = EDGES.reshape(-1, 1), EDGES
    with np.errstate(all="ignore"):
        expected = BINARY[name](x, y)
    ours = getattr(nx, name)(nx.Tensor(x), nx.Tensor(y)).numpy()
    np.testing.assert_array_equal(ours, expected)
    assert ours.dtype == expected.dtype


def test_shapes_that_do_not_broadcast_are_named() -> None:
    with pytest.raises(ShapeError, match=r"\(2, 3\) and \(4, 3\).*axis -2 has sizes 2 and 4"):
        nx.zeros((2, 3)) + nx.zeros((4, 3))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (nx.int32, nx.int64, nx.int64),
        (nx.int64, nx.float16, nx.float16),
        (nx.bool, nx.int8, nx.int8),
        (nx.uint8, nx.int8, nx.int16),
        (nx.float16, nx.bfloat16, nx.float32),
        (nx.bfloat16, nx.float32, nx.float32),
        (nx.float32, nx.float64, nx.float64),
    ],
)
def test_dtypes_meet_in_the_promoted_one(a: np.dtype, b: np.dtype, expected: np.dtype) -> None:
    x, y = nx.ones(2, a), nx.ones(2, b)
    assert (x + y).dtype == expected
    assert (y + x).dtype == expected


def test_python_scalars_are_weak() -> None:
    half = nx.ones(2, nx.float16)
    assert (half * 2.5).dtype == nx.float16
    assert (2 + half).dtype == nx.float16
    integers = nx.arange(3)
    assert (integers + 1).dtype == nx.int64
    assert (integers + 1.5).dtype == nx.float32
    assert (integers / 2).dtype == nx.float32
    assert (nx.ones(2, nx.bool) + 1).dtype == nx.int64
    np.testing.assert_array_equal((1.0 / nx.Tensor([2.0, 4.0])).numpy(), [0.5, 0.25])


def test_negative_zero_scalar_keeps_its_sign() -> None:
    assert math.copysign(1, (nx.Tensor([-0.0]) + -0.0).item()) == -1
    assert math.copysign(1, (nx.Tensor([-0.0]) + 0.0).item()) == 1


def test_half_precision_computes_in_float32() -> None:
    x = nx.full(4096, 1.0, nx.float16)
    assert x.sum().item() == 4096  # float16 alone stops counting at 2048
    ones = nx.ones((1, 4096), nx.bfloat16)
    assert (ones @ ones.T).item() == 4096


def test_numbers_of_code_are_known_to_those_who_compile_it() -> None:
    x = nx.ones(2)
    graph = trace_function(lambda x, y: (x * 2.5 + y) / 4, x, nx.Tensor(2.5))
    numbers = [None if v.tensor is None else number_of(v.tensor) for v in graph.captured]
    assert numbers == [2.5, 4]
    assert number_of(nx.Tensor(2.5)) is None
    assert number_of(x) is None


def test_where_takes_tensors_and_scalars() -> None:
    condition = nx.Tensor([True, False])
    assert nx.where(condition, 1.5, 2).tolist() == [1.5, 2.0]
    assert nx.where(condition, 1, 2).dtype == nx.int64
    assert nx.where(condition, nx.Tensor([1, 2]), 0.5).dtype == nx.float32


def test_clip_limits_and_keeps_nan() -> None:
    x = nx.Tensor([-2.0, 0.5, 3.0, math.nan])
    np.testing.assert_array_equal(x.clip(-1, 1).numpy(), [-1, 0.5, 1, np.nan])
    np.testing.assert_array_equal(x.clip(max=1).numpy(), [-2, 0.5, 1, np.nan])
    with pytest.raises(DTypeError, match="minimum, a maximum or both"):
        x.clip()


def test_logic_of_bools_and_integers() -> None:
    a, b = nx.Tensor([True, True, False]), nx.Tensor([True, False, False])
    assert (a & b).tolist() == [True, False, False]
    assert (a | b).tolist() == [True, True, False]
    assert (a ^ b).tolist() == [False, True, False]
    assert (~a).tolist() == [False, False, True]
    assert (~nx.Tensor([0, 5])).tolist() == [-1, -6]


def test_casting_truncates_and_wraps_without_a_warning() -> None:
    assert nx.Tensor([1.9, -1.9]).astype("int32").tolist() == [1, -1]
    assert nx.Tensor([True, False]).float().tolist() == [1.0, 0.0]
    with pytest.raises(DTypeError, match="'complex64' is not a dtype of Neurenix"):
        nx.ones(1).astype("complex64")


def test_power_has_finite_gradients_at_zero() -> None:
    x = nx.Tensor([0.0, 2.0], requires_grad=True)
    (x**0).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0]


def test_erf_agrees_with_the_standard_library() -> None:
    x = np.linspace(-6, 6, 241)
    expected = np.array([math.erf(v) for v in x])
    np.testing.assert_allclose(nx.erf(nx.Tensor(x)).numpy(), expected, rtol=1e-14, atol=0)
    single = nx.erf(nx.Tensor(x.astype(np.float32))).numpy()
    np.testing.assert_allclose(single, expected, rtol=1e-6, atol=1e-7)
