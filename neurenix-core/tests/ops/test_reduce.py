"""Reductions against NumPy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import neurenix as nx
from neurenix.errors import ShapeError

X = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
AXES = [None, 0, -1, (0, 2), (1, -1), (0, 1, 2)]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean", "var", "std"])
def test_reductions_equal_numpy(name: str, axis: object, keepdims: bool) -> None:
    ours = getattr(nx, name)(nx.Tensor(X), axis=axis, keepdims=keepdims)
    expected = getattr(np, name)(X, axis=axis, keepdims=keepdims)
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours.numpy(), expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_arg_reductions_equal_numpy(name: str, axis: int | None) -> None:
    for keepdims in (False, True):
        ours = getattr(nx, name)(nx.Tensor(X), axis, keepdims)
        expected = getattr(np, name)(X, axis=axis, keepdims=keepdims)
        np.testing.assert_array_equal(ours.numpy(), expected)
        assert ours.dtype == nx.int64


def test_integers_and_bools_sum_in_int64() -> None:
    assert nx.full(300, 1, nx.int8).sum().item() == 300
    assert nx.Tensor([True, True]).sum().dtype == nx.int64
    assert nx.arange(4).mean().item() == 1.5


def test_any_and_all() -> None:
    x = nx.Tensor([[0, 0], [0, 3]])
    assert x.any(axis=1).tolist() == [False, True]
    assert x.all(axis=0).tolist() == [False, False]
    assert nx.zeros(0).all().item() is True
    assert nx.zeros(0).any().item() is False


def test_logsumexp_neither_overflows_nor_breaks_at_infinity() -> None:
    x = nx.Tensor([[1000.0, 1000.0], [-np.inf, -np.inf], [np.inf, 0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = nx.logsumexp(x, axis=1)
    np.testing.assert_allclose(out.numpy(), [1000 + np.log(2), -np.inf, np.inf])


def test_unbiased_variance() -> None:
    np.testing.assert_allclose(nx.var(nx.Tensor(X), 0, 1).numpy(), X.var(0, ddof=1), rtol=1e-5)


def test_empty_axes() -> None:
    empty = nx.zeros((0, 3))
    assert empty.sum(0).tolist() == [0, 0, 0]
    assert empty.prod(0).tolist() == [1, 1, 1]
    assert np.isnan(empty.mean().item())
    for name in ("max", "min", "argmax", "argmin"):
        with pytest.raises(ShapeError, match=f"{name} over an axis of size 0"):
            getattr(nx, name)(empty, 0)
        assert getattr(nx, name)(empty, 1).shape == (0,)


def test_bad_axes_are_named() -> None:
    with pytest.raises(ShapeError, match="axis 2 is out of range for a tensor of 2 axes"):
        nx.zeros((2, 2)).sum(2)
    with pytest.raises(ShapeError, match="names an axis twice"):
        nx.zeros((2, 2)).sum((0, -2))


def test_max_gradient_is_shared_among_ties() -> None:
    x = nx.Tensor([1.0, 3.0, 3.0], requires_grad=True)
    x.max().backward()
    assert x.grad.tolist() == [0, 0.5, 0.5]


def test_the_gradient_of_a_product_of_nothing_is_not_the_input_itself() -> None:
    x = nx.zeros((0, 2), requires_grad=True)
    (gradient,) = nx.grad(nx.prod(x, 0).sum(), x)
    assert gradient is not x
    assert not gradient.requires_grad
