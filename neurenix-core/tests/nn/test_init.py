"""Initialisers."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

import neurenix
from neurenix import Generator, nn
from neurenix.errors import ShapeError
from neurenix.nn import init
from neurenix.nn.quantile import normal_quantile


def filled(shape: tuple[int, ...], function: object, *args: object, **kwargs: object) -> np.ndarray:
    tensor = neurenix.empty(shape)
    assert function(tensor, *args, **kwargs) is tensor  # type: ignore[operator]
    return tensor.numpy()


def test_constants() -> None:
    assert (filled((2, 3), init.constant_, 2.5) == 2.5).all()
    assert (filled((2, 3), init.ones_) == 1).all()
    assert (filled((2, 3), init.zeros_) == 0).all()
    np.testing.assert_array_equal(filled((2, 3), init.eye_), np.eye(2, 3))


def test_uniform_and_normal() -> None:
    values = filled((100, 100), init.uniform_, -1.0, 3.0)
    assert values.min() >= -1
    assert values.max() < 3
    assert values.mean() == pytest.approx(1, abs=0.05)
    assert values.std() == pytest.approx(4 / math.sqrt(12), rel=0.03)
    values = filled((100, 100), init.normal_, 2.0, 0.5)
    assert values.mean() == pytest.approx(2, abs=0.03)
    assert values.std() == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize(
    ("function", "bound"),
    [
        (init.xavier_uniform_, math.sqrt(6 / (40 * 6 + 60 * 6))),
        (init.kaiming_uniform_, math.sqrt(2) * math.sqrt(3 / (40 * 6))),
    ],
)
def test_scaled_uniform(function: object, bound: float) -> None:
    values = filled((60, 40, 2, 3), function)
    assert np.abs(values).max() <= bound
    assert np.abs(values).max() > 0.98 * bound
    assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.03)


def test_scaled_normal() -> None:
    shape = (60, 40, 2, 3)
    values = filled(shape, init.xavier_normal_, 2.0)
    assert values.std() == pytest.approx(2 * math.sqrt(2 / 600), rel=0.03)
    values = filled(shape, init.kaiming_normal_, mode="fan_out", nonlinearity="relu")
    assert values.std() == pytest.approx(math.sqrt(2 / 360), rel=0.03)
    values = filled(shape, init.kaiming_normal_, a=1.0)
    assert values.std() == pytest.approx(math.sqrt(1 / 240), rel=0.03)


def test_truncated_normal() -> None:
    values = filled((200, 100), init.trunc_normal_, 0.0, 0.5, -1.0, 1.0)
    assert np.abs(values).max() <= 1
    # The standard deviation of a normal variable cut at two of its own.
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    mass = NormalDist().cdf(2) - NormalDist().cdf(-2)
    assert values.std() == pytest.approx(0.5 * math.sqrt(1 - 4 * density / mass), rel=0.02)
    tail = filled((1000,), init.trunc_normal_, 0.0, 1.0, 3.0, 4.0)
    assert tail.min() >= 3
    assert tail.max() <= 4
    with pytest.raises(ValueError, match="needs a < b"):
        init.trunc_normal_(neurenix.empty((1,)), a=1.0, b=1.0)


def test_normal_quantile() -> None:
    p = np.concatenate([np.linspace(0.001, 0.999, 500), [1e-6, 1 - 1e-6]])
    expected = [NormalDist().inv_cdf(value) for value in p]
    np.testing.assert_allclose(normal_quantile(p), expected, rtol=2e-6, atol=2e-6)
    assert np.isfinite(normal_quantile(np.array([0.0, 1.0]))).all()


@pytest.mark.parametrize("shape", [(8, 3), (3, 8), (4, 2, 2, 2)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    values = filled(shape, init.orthogonal_, 2.0).reshape(shape[0], -1)
    product = values @ values.T if values.shape[0] <= values.shape[1] else values.T @ values
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)


def test_gains() -> None:
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    with pytest.raises(ValueError, match="no gain is known for 'mish'"):
        init.calculate_gain("mish")


def test_shapes_and_modes_are_checked() -> None:
    for function in (init.xavier_uniform_, init.kaiming_normal_, init.orthogonal_):
        with pytest.raises(ShapeError, match=r"at least two axes; got shape \(3,\)"):
            function(neurenix.empty((3,)))
    with pytest.raises(ValueError, match="mode is 'fan_in' or 'fan_out', not 'fan'"):
        init.kaiming_uniform_(neurenix.empty((3, 3)), mode="fan")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="eye_ fills a matrix"):
        init.eye_(neurenix.empty((3,)))


def test_the_seed_decides_on_every_function() -> None:
    for function in (
        init.uniform_,
        init.normal_,
        init.trunc_normal_,
        init.xavier_uniform_,
        init.kaiming_normal_,
        init.orthogonal_,
    ):
        first = filled((4, 4), function, generator=Generator(3))
        again = filled((4, 4), function, generator=Generator(3))
        np.testing.assert_array_equal(first, again)


def test_skipping_draws_nothing() -> None:
    neurenix.manual_seed(5)
    expected = neurenix.rand((3,)).numpy()
    neurenix.manual_seed(5)
    with init.skip():
        nn.Sequential(nn.Linear(3, 3), nn.Embedding(3, 3), nn.MultiheadAttention(4, 2))
    np.testing.assert_array_equal(neurenix.rand((3,)).numpy(), expected)
    assert nn.LayerNorm(3).weight.tolist() == [1.0] * 3


def test_parameters_stay_off_the_tape() -> None:
    param = nn.Parameter(neurenix.zeros((3, 3)))
    init.kaiming_uniform_(param)
    assert param.is_leaf
    assert param.requires_grad
