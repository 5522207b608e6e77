"""Activations, pooling, dropout and shapes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import neurenix
from neurenix import Generator, Tensor, nn
from neurenix.errors import ShapeError

X = np.linspace(-4, 4, 24, dtype=np.float32).reshape(2, 3, 4)
ERF = np.vectorize(math.erf)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.ReLU(), np.maximum(X, 0)),
        (nn.LeakyReLU(), np.where(X > 0, X, 0.01 * X)),
        (nn.LeakyReLU(0.3), np.where(X > 0, X, 0.3 * X)),
        (nn.GELU(), X * 0.5 * (1 + ERF(X / math.sqrt(2)))),
        (
            nn.GELU("tanh"),
            0.5 * X * (1 + np.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X**3))),
        ),
        (nn.SiLU(), X / (1 + np.exp(-X))),
        (nn.Sigmoid(), 1 / (1 + np.exp(-X))),
        (nn.Tanh(), np.tanh(X)),
        (nn.Softmax(1), np.exp(X) / np.exp(X).sum(1, keepdims=True)),
        (nn.Softmax(dim=0), np.exp(X) / np.exp(X).sum(0, keepdims=True)),
        (nn.LogSoftmax(), X - np.log(np.exp(X).sum(-1, keepdims=True))),
        (nn.Flatten(), X.reshape(2, 12)),
        (nn.Flatten(0, 1), X.reshape(6, 4)),
        (nn.Flatten(start_dim=0), X.reshape(24)),
        (nn.Identity(3, any_keyword=True), X),
    ],
    ids=lambda value: repr(value) if isinstance(value, nn.Module) else "",
)
def test_values(layer: nn.Module, expected: np.ndarray) -> None:
    np.testing.assert_allclose(layer(Tensor(X)).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_an_inplace_activation_leaves_its_input_alone() -> None:
    x = Tensor(X)
    for layer in (nn.ReLU(inplace=True), nn.SiLU(inplace=True), nn.LeakyReLU(inplace=True)):
        assert "inplace=True" in repr(layer)
        layer(x)
    np.testing.assert_array_equal(x.numpy(), X)


def test_gelu_knows_two_kinds() -> None:
    with pytest.raises(ValueError, match="approximate is 'none' or 'tanh', not 'fast'"):
        nn.GELU("fast")  # type: ignore[arg-type]


def windows(x: np.ndarray, size: int, stride: int) -> np.ndarray:
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
    return view[:, :, ::stride, ::stride]


def test_pooling() -> None:
    x = np.random.default_rng(2).standard_normal((2, 3, 7, 9)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    zeros = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    inside = np.pad(np.ones_like(x), ((0, 0), (0, 0), (1, 1), (1, 1)))
    sums = windows(zeros, 3, 2).sum((-2, -1))
    for layer, expected in (
        (nn.MaxPool2d(2), windows(x, 2, 2).max((-2, -1))),
        (nn.MaxPool2d(3, 2, 1), windows(padded, 3, 2).max((-2, -1))),
        (nn.MaxPool2d(2, 1, dilation=2), windows(x, 3, 1)[..., ::2, ::2].max((-2, -1))),
        (nn.AvgPool2d(3, 2, 1), sums / 9),
        (
            nn.AvgPool2d(3, 2, 1, count_include_pad=False),
            sums / windows(inside, 3, 2).sum((-2, -1)),
        ),
        (nn.AdaptiveAvgPool2d(1), x.mean((2, 3), keepdims=True)),
        (nn.AdaptiveAvgPool2d((7, 1)), x.mean(3, keepdims=True)),
    ):
        out = layer(Tensor(x)).numpy()
        np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6, err_msg=repr(layer))
        single = layer(Tensor(x[0])).numpy()
        np.testing.assert_allclose(single, expected[0], rtol=1e-5, atol=1e-6)


def test_pooling_checks_its_arguments() -> None:
    with pytest.raises(ShapeError, match="padding is at most half the window"):
        nn.MaxPool2d(2, padding=2)
    with pytest.raises(ShapeError, match="stride is a whole number of at least 1"):
        nn.AvgPool2d(2, stride=0)


def test_dropout() -> None:
    layer = nn.Dropout(0.25, generator=Generator(1))
    x = neurenix.ones((200, 100))
    out = layer(x).numpy()
    assert set(np.unique(out)) == {0.0, np.float32(1 / 0.75)}
    assert (out == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert (layer(x).numpy() != out).any()
    again = nn.Dropout(0.25, generator=Generator(1))
    np.testing.assert_array_equal(again(x).numpy(), out)
    assert layer.eval()(x) is x
    assert nn.Dropout(0.0)(x) is x
    assert not nn.Dropout(1.0)(x).numpy().any()
    assert repr(layer) == "Dropout(p=0.25)"
    with pytest.raises(ValueError, match=r"lies between 0 and 1; got 1\.5"):
        nn.Dropout(1.5)


def test_dropout_passes_gradients_where_it_passes_values() -> None:
    x = neurenix.ones((50, 50))
    x.requires_grad = True
    out = nn.Dropout(0.5)(x)
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), out.detach().numpy())
