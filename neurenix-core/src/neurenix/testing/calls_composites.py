"""Calls of composite ops that no sample makes: fused ops, backwards, optimizer steps, integers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neurenix.dtypes import INTS, bool_, float32, int32
from neurenix.testing.calls import LARGE, Array, Call, call, caller

Rng = np.random.Generator

_PLAIN = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
_SAME: dict[str, Any] = {**_PLAIN, "padding": ((1, 1), (1, 1))}
_POOL: dict[str, Any] = {"kernel_size": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0))}


@caller("relu", "sigmoid", "silu", "softplus", "leaky_relu", "gelu", "softmax", "log_softmax")
def _(rng: Rng) -> Iterator[Call]:
    attrs: dict[str, dict[str, Any]] = {
        "relu": {},
        "sigmoid": {},
        "silu": {},
        "softplus": {},
        "leaky_relu": {"negative_slope": 0.1},
        "gelu": {"approximate": "none"},
        "softmax": {"axis": 1},
        "log_softmax": {"axis": 1},
    }
    for name, given in attrs.items():
        if not name.endswith("softmax"):
            yield call(name, "wide", np.linspace(-8, 8, 33), **given)
        yield call(name, "steep", np.array([[60.0, -60.0, 0.0], [-50.0, 45.0, 50.0]]), **given)
        yield call(name, LARGE, rng.standard_normal((256, 256)), **given)
    yield call("relu", "nan and inf", np.array([np.nan, np.inf, -np.inf, -0.0]))
    yield call("relu", "integers", np.array([3, -2, 0], int32))
    masked = np.array([[0.0, -np.inf, 1.0], [-np.inf, -np.inf, 0.0]])
    yield call("softmax", "masked", masked, axis=1)


@caller("softmax_backward", "log_softmax_backward")
def _(rng: Rng) -> Iterator[Call]:
    for axis, shape in [(0, (3, 4)), (2, (2, 3, 4)), (1, (0, 2))]:
        grad, x = rng.standard_normal(shape), rng.standard_normal(shape)
        total = np.exp(x).sum(axis, keepdims=True)
        label = f"axis {axis} of {shape}"
        yield call("softmax_backward", label, grad, np.exp(x) / total, axis=axis)
        yield call("log_softmax_backward", label, grad, x - np.log(total), axis=axis)


@caller("linear", "concat", "pad", "take", "take_backward", "sort", "topk")
def _(rng: Rng) -> Iterator[Call]:
    x, weight = rng.standard_normal((128, 256)), rng.standard_normal((128, 256))
    yield call("linear", LARGE, x, weight, rng.standard_normal(128))
    for dtype in (bool_, *INTS):
        small = rng.integers(0, 2, (2, 3)).astype(dtype)
        yield call("concat", "integers", small, small[:1], axis=0, sizes=(2, 1))
        widths = {"widths": ((1, 0), (0, 2)), "interior": (0, 1)}
        yield call("pad", "integers", small, **widths, value=1)
        yield call("take", "integers", small, np.array([1, 0, 1]))
        if dtype != bool_:
            distinct = np.array([[3, 1, 2], [0, 2, 1]]).astype(dtype)
            yield call("sort", "integers", distinct, axis=1, descending=False)
    yield call("concat", LARGE, x, weight, axis=1, sizes=(256, 256))
    yield call("pad", LARGE, x, widths=((1, 1), (2, 2)), interior=(0, 0), value=0.0)
    rows = rng.integers(0, 128, (256,))
    yield call("take", LARGE, x, rows)
    yield call("take", "int32 index", x[:4], np.array([[3, 0], [1, 1]], int32))
    yield call("take_backward", LARGE, rng.standard_normal((256, 64)), rows, rows=128)
    yield call("sort", LARGE, x, axis=1, descending=False)
    yield call("topk", LARGE, x, k=5, axis=1, largest=True)


@caller("put", "assign")
def _(rng: Rng) -> Iterator[Call]:
    x = rng.standard_normal((4, 3, 2))
    rows, columns = np.array([[0, 3], [2, 1]]), np.array([[1, 1], [2, 0]])
    yield call("put", "rows", x, rng.standard_normal((3, 3, 2)), np.array([3, 0, 1]))
    yield call("put", "elements", x, rng.standard_normal((2, 2, 2)), rows, columns)
    yield call("put", "nothing", x, np.zeros((0, 3, 2)), np.zeros(0, np.int64))
    box = {"starts": (1, 0, 1), "steps": (2, 1, 1)}
    yield call("assign", "box", x, rng.standard_normal((2, 3, 1)), **box)
    yield call("assign", "nothing", x, np.zeros((0, 3, 2)), starts=(0, 0, 0), steps=(1, 1, 1))
    small = rng.integers(0, 5, (4, 3)).astype(int32)
    yield call("assign", "integers", small, small[:2, :1].copy(), starts=(1, 2), steps=(1, 1))


@caller("conv2d", "conv2d_grad_input", "conv2d_grad_weight", "conv2d_fused")
def _(rng: Rng) -> Iterator[Call]:
    x, weight = rng.standard_normal((2, 3, 5, 6)), rng.standard_normal((4, 3, 3, 3))
    bias, residual = rng.standard_normal(4), rng.standard_normal((2, 4, 5, 6))
    for label, b, r in [("all", bias, residual), ("bias", bias, None), ("bare", None, None)]:
        for activation in ("relu", "none"):
            attrs = {**_SAME, "activation": activation}
            yield call("conv2d_fused", f"{label}, {activation}", x, weight, b, r, **attrs)
    strided = {**_PLAIN, "stride": (2, 1), "activation": "relu"}
    yield call("conv2d_fused", "stride", x, weight, bias, None, **strided)
    x, weight = rng.standard_normal((4, 16, 16, 16)), rng.standard_normal((32, 16, 3, 3)) / 12
    out = rng.standard_normal((4, 32, 16, 16))
    bias = rng.standard_normal(32)
    yield call("conv2d", LARGE, x, weight, bias, **_SAME)
    yield call("conv2d_fused", LARGE, x, weight, bias, out, **_SAME, activation="relu")
    yield call("conv2d_grad_input", LARGE, out, weight, input_shape=x.shape, **_SAME)
    yield call("conv2d_grad_weight", LARGE, out, x, weight_shape=weight.shape, **_SAME)


@caller("max_pool2d", "max_pool2d_values", "avg_pool2d", "adaptive_avg_pool2d")
def _(rng: Rng) -> Iterator[Call]:
    dense = {**_POOL, "dilation": (1, 1)}
    edges: dict[str, Any] = {
        "kernel_size": (3, 2),
        "stride": (2, 1),
        "padding": ((1, 1), (1, 0)),
        "dilation": (1, 2),
    }
    x = rng.permutation(60).reshape(1, 2, 5, 6) / 8.0
    for name in ("max_pool2d", "max_pool2d_values"):
        for label, attrs in {"halves": dense, "edges": edges}.items():
            yield call(name, f"{label}, {x.shape}", x, **attrs)
        ties = np.array([[[[1.0, 1, 2, 0], [1, 1, 2, 2]]]])
        yield call(name, "ties", ties, **dense)
        yield call(name, "nan", np.where(ties == 0, np.nan, ties), **dense)
        yield call(name, LARGE, rng.standard_normal((4, 16, 32, 32)), **dense)
    large = rng.standard_normal((4, 16, 32, 32))
    yield call("avg_pool2d", LARGE, large, **_POOL, count_include_pad=True)
    yield call("adaptive_avg_pool2d", LARGE, large, output_size=(1, 1))


def _statistics(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array]:
    return x.mean(axes), 1 / np.sqrt(x.var(axes) + eps)


@caller(
    "batch_norm_train",
    "batch_norm_inference",
    "batch_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "running_average",
)
def _(rng: Rng) -> Iterator[Call]:
    eps = 1e-3
    for shape in [(3, 2, 2, 2), (4, 3), (8, 16, 16, 16)]:
        x, grad = rng.standard_normal(shape), rng.standard_normal(shape)
        weight, bias = rng.standard_normal(shape[1]), rng.standard_normal(shape[1])
        mean, rstd = _statistics(x, (0, *range(2, x.ndim)), eps)
        label = LARGE if shape[0] == 8 else f"{shape}"
        given: dict[str, Any] = {"eps": eps, "wide": (3, 4)}
        yield call("batch_norm_backward", label, grad, x, weight, mean, rstd, **given)
        if label == LARGE:
            yield call("batch_norm_train", label, x, weight, bias, eps=eps)
            var = x.var((0, 2, 3))
            yield call("batch_norm_inference", label, x, mean, var, weight, bias, eps=eps)
        else:
            plain = f"{label}, plain"
            yield call("batch_norm_backward", plain, grad, x, None, mean, rstd, **given)
    for shape, axes in [((2, 3, 4), 1), ((2, 2, 3), 2), ((256, 128), 1)]:
        x, grad, last = rng.standard_normal(shape), rng.standard_normal(shape), shape[-axes:]
        weight, bias = rng.standard_normal(last), rng.standard_normal(last)
        mean, rstd = _statistics(x, tuple(range(x.ndim - axes, x.ndim)), eps)
        attrs = {"axes": axes, "eps": eps}
        given = {**attrs, "wide": (3, 4)}
        label = LARGE if shape[0] == 256 else f"{shape}, last {axes}"
        yield call("layer_norm_backward", label, grad, x, weight, mean, rstd, **given)
        if label == LARGE:
            yield call("layer_norm", label, x, weight, bias, **attrs)
        else:
            plain = f"{label}, plain"
            yield call("layer_norm_backward", plain, grad, x, None, mean, rstd, **given)
    pair = rng.standard_normal((2, 5))
    yield call("running_average", "values", pair[0], pair[1], momentum=0.1)


@caller("softmax_cross_entropy", "softmax_cross_entropy_backward")
def _(rng: Rng) -> Iterator[Call]:
    for rows, classes in [(3, 4), (0, 3), (128, 100)]:
        logits, target = rng.standard_normal((rows, classes)), rng.integers(0, classes, rows)
        log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        grad = rng.standard_normal(rows)
        label = LARGE if rows == 128 else f"{rows} of {classes}"
        name = "softmax_cross_entropy_backward"
        yield call(name, label, grad, logits, log_probs, target)
        if label == LARGE:
            yield call("softmax_cross_entropy", label, logits, target)


@caller("scaled_dot_product_attention")
def _(rng: Rng) -> Iterator[Call]:
    name = "scaled_dot_product_attention"
    query, key, value = (rng.standard_normal((2, 3, n, 4)) for n in (5, 6, 6))
    keep = rng.random((5, 6)) < 0.6
    keep[0] = False  # a query that may attend to nothing
    plain: dict[str, Any] = {"is_causal": False, "scale": 0.5}
    yield call(name, "plain", query, key, value, None, **plain)
    yield call(name, "mask of bools", query, key, value, keep, **plain)
    yield call(name, "mask of floats", query, key, value, rng.standard_normal((5, 6)), **plain)
    yield call(name, "causal", key, key, value, None, is_causal=True, scale=0.5)
    large = [rng.standard_normal((2, 4, 64, 32)) for _ in range(3)]
    yield call(name, LARGE, *large, None, **plain)


@caller("sgd_step", "sgd_momentum_step", "adam_step")
def _(rng: Rng) -> Iterator[Call]:
    for label, shape in [("matrix", (3, 4)), ("0-d", ()), ("nothing", (0, 2)), (LARGE, (256, 256))]:
        param, grad, first, second = (rng.standard_normal(shape) for _ in range(4))
        second = np.abs(second)
        rate, step = np.array(0.1, float32), np.array(3, float32)
        yield call("sgd_step", label, param, grad, rate, weight_decay=0.1)
        for nesterov in (False, True):
            settings = {"momentum": 0.9, "dampening": 0.0 if nesterov else 0.1}
            settings |= {"weight_decay": 0.1, "first_step": label == "0-d", "nesterov": nesterov}
            if label != LARGE or nesterov:
                labelled = label if label == LARGE else f"{label}, nesterov {nesterov}"
                yield call("sgd_momentum_step", labelled, param, grad, first, rate, **settings)
        for decoupled in (False, True):
            settings = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.1}
            if label != LARGE or decoupled:
                labelled = label if label == LARGE else f"{label}, decoupled {decoupled}"
                inputs = (param, grad, first, second, rate, step)
                yield call("adam_step", labelled, *inputs, **settings, decoupled=decoupled)
