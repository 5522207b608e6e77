"""The normalisation and softmax kernels against their formulas in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurenix.backends.numpy.norm import (
    batch_norm_backward,
    batch_norm_inference,
    batch_norm_train,
    layer_norm,
    layer_norm_backward,
)
from neurenix.backends.numpy.softmax import (
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
)

RNG = np.random.default_rng(5)
TOLERANCE = {"float64": 1e-11, "float32": 2e-5, "float16": 2e-2}


def near(got: np.ndarray, expected: np.ndarray, dtype: str) -> None:
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(
        got.astype(np.float64), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale
    )


def arrays(dtype: str, *shapes: tuple[int, ...]) -> list[Any]:
    return [(RNG.standard_normal(shape) * 2 + 1).astype(dtype) for shape in shapes]


def stats_dtype(dtype: str) -> str:
    return "float32" if dtype == "float16" else dtype


def normalised_gradients(
    grad: np.ndarray, x: np.ndarray, weight: np.ndarray, axes: tuple[int, ...], eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Dx and the normalised input, from the chain rule through mean and variance."""
    count = np.prod([x.shape[a] for a in axes])
    mean = x.mean(axes, keepdims=True)
    var = x.var(axes, keepdims=True)
    centred, g = x - mean, grad * weight
    dvar = (g * centred).sum(axes, keepdims=True) * -0.5 * (var + eps) ** -1.5
    dmean = -(g / np.sqrt(var + eps)).sum(axes, keepdims=True)
    dx = g / np.sqrt(var + eps) + dvar * 2 * centred / count + dmean / count
    return dx, centred / np.sqrt(var + eps)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(8, 3, 4, 5), (7, 4), (2, 3, 6), (300, 2, 500), (1, 2, 3, 1, 2)])
def test_batch_norm(shape: tuple[int, ...], affine: bool, dtype: str) -> None:
    channels = shape[1:2]
    x, grad, weight, bias = arrays(dtype, shape, shape, channels, channels)
    grad -= 1  # sums over many elements stay in float16's range
    w, b = (weight, bias) if affine else (None, None)
    stats = [np.empty(channels, stats_dtype(dtype)) for _ in range(3)]
    out = np.empty_like(x)
    batch_norm_train((out, *stats), x, w, b, eps=1e-5)
    axes = tuple(a for a in range(len(shape)) if a != 1)
    column = (1, -1, *(1,) * (len(shape) - 2))
    x64, grad64 = x.astype(np.float64), grad.astype(np.float64)
    w64 = weight.astype(np.float64).reshape(column) if affine else np.ones(channels).reshape(column)
    b64 = bias.astype(np.float64).reshape(column) if affine else np.zeros(channels).reshape(column)
    dx64, normal = normalised_gradients(grad64, x64, w64, axes, 1e-5)
    near(out, normal * w64 + b64, dtype)
    near(stats[0], x64.mean(axes), dtype)
    near(stats[2], x64.var(axes), dtype)
    near(stats[1], 1 / np.sqrt(x64.var(axes) + 1e-5), dtype)

    dx, dw, db = np.empty_like(x), np.empty(channels, dtype), np.empty(channels, dtype)
    batch_norm_backward((dx, dw, db), grad, x, w, stats[0], stats[1], eps=1e-5)
    near(dx, dx64, dtype)
    near(dw, (grad64 * normal).sum(axes), dtype)
    near(db, grad64.sum(axes), dtype)

    mean, var = x64.mean(axes), x64.var(axes)
    batch_norm_inference(
        out, x, mean.astype(stats[0].dtype), var.astype(stats[0].dtype), w, b, eps=1e-5
    )
    near(out, normal * w64 + b64, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("shape", "axes"), [((4, 5, 6), 1), ((4, 5, 6), 2), ((7,), 1), ((900, 257), 1)]
)
def test_layer_norm(shape: tuple[int, ...], axes: int, affine: bool, dtype: str) -> None:
    kept, normal_shape = shape[: len(shape) - axes], shape[len(shape) - axes :]
    x, grad, weight, bias = arrays(dtype, shape, shape, normal_shape, normal_shape)
    w, b = (weight, bias) if affine else (None, None)
    out, mean, rstd = np.empty_like(x), *(np.empty(kept, stats_dtype(dtype)) for _ in range(2))
    layer_norm((out, mean, rstd), x, w, b, axes=axes, eps=1e-5)
    last = tuple(range(len(kept), len(shape)))
    x64, grad64 = x.astype(np.float64), grad.astype(np.float64)
    w64 = weight.astype(np.float64) if affine else np.ones(normal_shape)
    dx64, normal = normalised_gradients(grad64, x64, w64, last, 1e-5)
    near(out, normal * w64 + (bias.astype(np.float64) if affine else 0), dtype)
    near(mean, x64.mean(last), dtype)
    dx, dw, db = np.empty_like(x), np.empty_like(weight), np.empty_like(weight)
    layer_norm_backward((dx, dw, db), grad, x, w, mean, rstd, axes=axes, eps=1e-5)
    first = tuple(range(len(kept)))
    near(dx, dx64, dtype)
    near(dw, (grad64 * normal).sum(first), dtype)
    near(db, grad64.sum(first), dtype)


def test_variance_survives_a_large_mean() -> None:
    x = (RNG.standard_normal((16, 2, 9)) + 1e4).astype(np.float32)
    out, mean, rstd, var = np.empty_like(x), *(np.empty(2, np.float32) for _ in range(3))
    batch_norm_train((out, mean, rstd, var), x, None, None, eps=1e-5)
    np.testing.assert_allclose(var, x.astype(np.float64).var((0, 2)), rtol=1e-3)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmax_and_log_softmax(axis: int, dtype: str) -> None:
    x, grad = arrays(dtype, (4, 5, 6), (4, 5, 6))
    x64, grad64 = x.astype(np.float64), grad.astype(np.float64)
    exp = np.exp(x64 - x64.max(axis, keepdims=True))
    p64 = exp / exp.sum(axis, keepdims=True)
    out, dx = np.empty_like(x), np.empty_like(x)
    softmax(out, x, axis=axis)
    near(out, p64, dtype)
    softmax_backward(dx, grad, out, axis=axis)
    near(dx, p64 * (grad64 - (grad64 * p64).sum(axis, keepdims=True)), dtype)
    log_softmax(out, x, axis=axis)
    near(out, np.log(p64), dtype)
    log_softmax_backward(dx, grad, out, axis=axis)
    near(dx, grad64 - p64 * grad64.sum(axis, keepdims=True), dtype)


def test_softmax_of_extreme_values() -> None:
    x = np.array([[1e30, 0, -1e30], [-np.inf, 0, 0], [np.nan, 0, 0]], np.float32)
    out = np.empty_like(x)
    softmax(out, x, axis=1)
    np.testing.assert_array_equal(out, [[1, 0, 0], [0, 0.5, 0.5], [np.nan] * 3])
    log_softmax(out, x, axis=1)
    np.testing.assert_array_equal(out[0], np.float32([0, -1e30, -2e30]))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_softmax_cross_entropy(dtype: str) -> None:
    logits, grad = arrays(dtype, (6, 4), (6,))
    target = np.array([0, 3, 1, 1, 2, 0])
    loss, log_probs, dx = np.empty(6, dtype), np.empty_like(logits), np.empty_like(logits)
    softmax_cross_entropy((loss, log_probs), logits, target)
    x64 = logits.astype(np.float64)
    p64 = np.exp(x64) / np.exp(x64).sum(1, keepdims=True)
    near(loss, -np.log(p64[np.arange(6), target]), dtype)
    near(log_probs, np.log(p64), dtype)
    softmax_cross_entropy_backward(dx, grad, logits, log_probs, target)
    near(dx, (p64 - np.eye(4)[target]) * grad[:, None].astype(np.float64), dtype)


@pytest.mark.parametrize("wrong", [-1, 4])
def test_softmax_cross_entropy_names_the_wrong_target(wrong: int) -> None:
    out = np.empty(2), np.empty((2, 4))
    with pytest.raises(IndexError, match=rf"sample 1 is class {wrong}.* from 0 to 3"):
        softmax_cross_entropy(out, np.zeros((2, 4)), np.array([0, wrong]))
