"""Ops on bools, small integers and 16-bit floats, and at values where formulas lose digits."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix as nx
from neurenix import ops
from neurenix.errors import DTypeError, ShapeError


def test_means_and_variances_of_16_bit_floats_do_not_overflow() -> None:
    for dtype in (nx.float16, nx.bfloat16):
        x = nx.full((1000, 100), 2.0, dtype)
        assert (x.mean().dtype, x.mean().item()) == (dtype, 2)
        wide = nx.Tensor([300.0, -300.0], dtype)
        np.testing.assert_allclose(nx.std(wide).item(), 300, rtol=0.01)
        assert nx.std(wide).dtype == dtype


@pytest.mark.parametrize("name", ["pow", "floor_div", "mod", "shift_right", "sub"])
def test_arithmetic_that_bools_do_not_have_is_refused(name: str) -> None:
    x = nx.Tensor([True, False])
    with pytest.raises(DTypeError, match="does not take inputs of dtype bool"):
        getattr(nx, name)(x, x)


def test_relu_of_bools_is_themselves() -> None:
    assert nx.relu(nx.Tensor([True, False])).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, bool])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_classes_may_be_of_any_integer_dtype(dtype: type, smoothing: float, weighted: bool) -> None:
    logits = nx.Tensor([[1.0, 2.0], [0.5, -1.0]])
    weight = nx.Tensor([1.0, 3.0]) if weighted else None
    classes = np.array([1, 0])
    wanted = ops.cross_entropy(logits, nx.Tensor(classes), weight, label_smoothing=smoothing)
    given = nx.Tensor(classes.astype(dtype))
    got = ops.cross_entropy(logits, given, weight, label_smoothing=smoothing)
    assert got.item() == wanted.item()
    log_probs = ops.log_softmax(logits)
    got, wanted = (ops.nll_loss(log_probs, t, weight) for t in (given, nx.Tensor(classes)))
    assert got.item() == wanted.item()


def test_softplus_keeps_its_digits() -> None:
    x = nx.Tensor([-60.0, -20.0, -5.0, 0.0, 5.0, 100.0])
    expected = np.logaddexp(0, x.numpy().astype(np.float64))
    np.testing.assert_allclose(nx.softplus(x).numpy(), expected, rtol=5e-7)


@pytest.mark.parametrize("dtype", [nx.float16, nx.bfloat16, nx.float32])
def test_uniform_numbers_stay_below_one_in_every_dtype(dtype: np.dtype) -> None:
    x = nx.rand((20_000,), dtype, generator=nx.Generator(0))
    assert x.dtype == dtype
    assert x.max().item() < 1
    assert abs(x.float().mean().item() - 0.5) < 0.01


def test_linspace_and_arange_of_other_dtypes() -> None:
    assert nx.linspace(0, 10, 5, nx.int64).dtype == nx.int64
    assert nx.linspace(0, 10, 5, nx.int64).tolist() == [0, 2, 5, 7, 10]
    assert nx.linspace(0, 1, 3, nx.float16).dtype == nx.float16
    assert nx.arange(2**62, 2**62 + 2).tolist() == [2**62, 2**62 + 1]


def test_sorting_a_single_number() -> None:
    values, indices = nx.sort(nx.Tensor(3.0))
    assert (values.item(), indices.item(), values.shape) == (3, 0, ())
    assert nx.argsort(nx.Tensor(3.0)).shape == ()


def test_keepdim_is_accepted_by_any_and_all() -> None:
    x = nx.zeros((2, 3))
    assert x.any(dim=1, keepdim=True).shape == (2, 1)
    assert x.all(dim=1, keepdim=True).shape == (2, 1)


def test_python_bools_and_integers_on_the_left_of_logic() -> None:
    x = nx.Tensor([True, False])
    assert (True & x).tolist() == [True, False]
    assert (False | x).tolist() == [True, False]
    assert (True ^ x).tolist() == [False, True]


def test_softmax_over_nothing() -> None:
    x = nx.zeros((2, 0))
    assert nx.softmax(x).shape == (2, 0)
    with pytest.raises(ShapeError):
        nx.max(x, -1)


def test_masked_attention_of_float16_holds_against_very_low_scores() -> None:
    query = nx.Tensor([[150.0]], nx.float16)
    key = nx.Tensor([[-150.0], [0.0]], nx.float16)
    value = nx.Tensor([[2.0], [9.0]], nx.float16)
    mask = nx.Tensor([[True, False]])
    assert ops.scaled_dot_product_attention(query, key, value, mask).tolist() == [[2]]
