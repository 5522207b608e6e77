"""Samples of convolution, pooling, norms, losses and attention."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from neurenix import ops
from neurenix.ops.adaptive_pool import _adaptive_backward
from neurenix.ops.batch_norm import _batch_norm_inference
from neurenix.ops.conv import _conv2d_grad_input, _conv2d_grad_weight
from neurenix.ops.loss import Reduction
from neurenix.ops.pool import _avg_pool2d_backward, _max_pool2d_backward
from neurenix.tensor import Tensor
from neurenix.testing.samples import Sample, away_from_zero, constant, sampler

Rng = np.random.Generator

# Label to the batch, the size of the images, the weight's shape and what else there is.
_CONVOLUTIONS: dict[str, tuple[int, tuple[int, int], tuple[int, ...], dict[str, Any]]] = {
    "plain": (2, (4, 5), (3, 2, 2, 3), {}),
    "same": (1, (3, 4), (2, 2, 3, 2), {"padding": ((1, 1), (0, 1))}),
    "stride": (1, (5, 6), (2, 2, 3, 2), {"stride": (2, 3), "padding": ((1, 0), (1, 2))}),
    "dilation": (1, (6, 5), (1, 2, 2, 2), {"dilation": (3, 2), "padding": ((2, 1), (0, 1))}),
    "groups": (2, (3, 4), (4, 1, 2, 2), {"groups": 2, "stride": (1, 2)}),
    "point": (2, (3, 3), (3, 2, 1, 1), {}),
    "point with stride": (1, (4, 3), (2, 2, 1, 1), {"stride": (2, 2)}),
    "wide padding": (1, (2, 3), (1, 2, 2, 2), {"padding": ((2, 3), (3, 2))}),
    "gaps": (1, (5, 5), (1, 2, 1, 2), {"stride": (3, 4)}),
    "empty": (0, (3, 3), (2, 2, 2, 2), {}),
}
_DEFAULTS = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}


@sampler("conv2d", "conv2d_grad_input", "conv2d_grad_weight")
def _(rng: Rng) -> Iterator[Sample]:
    for label, (batch, size, weight_shape, options) in _CONVOLUTIONS.items():
        attrs = {**_DEFAULTS, **options}
        x = rng.standard_normal((batch, weight_shape[1] * attrs["groups"], *size))
        weight, bias = rng.standard_normal(weight_shape), rng.standard_normal(weight_shape[0])
        out_shape = ops.conv2d(constant(x), constant(weight), **attrs).shape
        grad = rng.standard_normal(out_shape)
        yield Sample(
            "conv2d", label, lambda x, w, b, a=attrs: ops.conv2d(x, w, b, **a), (x, weight, bias)
        )
        yield Sample(
            "conv2d_grad_input",
            label,
            lambda g, w, s=x.shape, a=attrs: _conv2d_grad_input(g, w, input_shape=s, **a),
            (grad, weight),
        )
        yield Sample(
            "conv2d_grad_weight",
            label,
            lambda g, x, s=weight_shape, a=attrs: _conv2d_grad_weight(g, x, weight_shape=s, **a),
            (grad, x),
        )
    yield Sample(
        "conv2d",
        "no bias, padding in words",
        lambda x, w: ops.conv2d(x, w, padding="same"),
        (rng.standard_normal((1, 1, 3, 4)), rng.standard_normal((2, 1, 2, 3))),
    )


# Label to the size of the images and the arguments.
_POOLS: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {
    "halves": ((4, 6), {"kernel_size": (2, 2), "stride": (2, 2)}),
    "overlap": (
        (5, 4),
        {"kernel_size": (3, 2), "stride": (2, 1), "padding": ((1, 1), (1, 0))},
    ),
    "gaps": ((5, 7), {"kernel_size": (2, 2), "stride": (3, 3), "padding": ((0, 1), (1, 1))}),
}


@sampler("max_pool2d", "max_pool2d_backward")
def _(rng: Rng) -> Iterator[Sample]:
    pools = {**_POOLS, "dilation": ((6, 5), {"kernel_size": 2, "stride": 1, "dilation": (2, 3)})}
    for label, (size, attrs) in pools.items():
        x = away_from_zero(rng, (2, 2, *size))
        yield Sample("max_pool2d", label, lambda x, a=attrs: ops.max_pool2d(x, **a), (x,))
        shape = ops.max_pool2d(constant(x), **attrs).shape
        indices = constant(rng.integers(0, size[0] * size[1], shape))
        yield Sample(
            "max_pool2d_backward",
            label,
            lambda g, i=indices, s=x.shape: _max_pool2d_backward(g, i, input_shape=s),
            (rng.standard_normal(shape),),
        )


@sampler("avg_pool2d", "avg_pool2d_backward")
def _(rng: Rng) -> Iterator[Sample]:
    for label, (size, options) in _POOLS.items():
        for include in (True, False):
            attrs = {"padding": ((0, 0), (0, 0)), "count_include_pad": include, **options}
            x = rng.standard_normal((1, 2, *size))
            name = f"{label}, {include}"
            yield Sample("avg_pool2d", name, lambda x, a=attrs: ops.avg_pool2d(x, **a), (x,))
            shape = ops.avg_pool2d(constant(x), **attrs).shape
            yield Sample(
                "avg_pool2d_backward",
                name,
                lambda g, s=x.shape, a=attrs: _avg_pool2d_backward(g, input_shape=s, **a),
                (rng.standard_normal(shape),),
            )


@sampler("adaptive_avg_pool2d", "adaptive_avg_pool2d_backward")
def _(rng: Rng) -> Iterator[Sample]:
    for size in [(1, 1), (2, 3), (5, 4)]:
        x = rng.standard_normal((2, 2, 3, 4))
        yield Sample(
            "adaptive_avg_pool2d",
            f"{size}",
            lambda x, s=size: ops.adaptive_avg_pool2d(x, s),
            (x,),
        )
        yield Sample(
            "adaptive_avg_pool2d_backward",
            f"{size}",
            lambda g, s=x.shape: _adaptive_backward(g, input_shape=s),
            (rng.standard_normal((2, 2, *size)),),
        )


@sampler("batch_norm_train", "batch_norm_inference")
def _(rng: Rng) -> Iterator[Sample]:
    for shape in [(3, 2, 2, 2), (4, 3), (2, 2, 3)]:
        channels = shape[1:2]
        x, weight, bias, mean = (
            rng.standard_normal(s) for s in (shape, channels, channels, channels)
        )
        var = np.abs(rng.standard_normal(channels)) + 0.5
        yield Sample("batch_norm_train", f"{shape}", _normalize, (x, weight, bias))
        yield Sample("batch_norm_train", f"{shape}, plain", _normalize, (x,))
        yield Sample(
            "batch_norm_inference",
            f"{shape}",
            lambda x, m, v, w, b: _batch_norm_inference(x, m, v, w, b, eps=1e-3),
            (x, mean, var, weight, bias),
        )
        yield Sample(
            "batch_norm_inference",
            f"{shape}, plain",
            lambda x, m, v: _batch_norm_inference(x, m, v, None, None, eps=1e-3),
            (x, mean, var),
        )


def _normalize(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    return ops.batch_norm(x, None, None, weight, bias, training=True, eps=1e-3)


@sampler("layer_norm")
def _(rng: Rng) -> Iterator[Sample]:
    for shape, last in [((2, 3, 4), (4,)), ((2, 2, 3), (2, 3)), ((4,), (4,)), ((0, 3), (3,))]:
        x, weight, bias = (rng.standard_normal(s) for s in (shape, last, last))
        yield Sample(
            "layer_norm",
            f"{shape}, {last}",
            lambda x, w, b, n=last: ops.layer_norm(x, n, w, b, eps=1e-3),
            (x, weight, bias),
        )
    yield Sample(
        "layer_norm",
        "groups",
        lambda x, w: ops.group_norm(x, 2, w, eps=1e-3),
        (rng.standard_normal((2, 4, 3)), rng.standard_normal(4)),
    )


@sampler("softmax_cross_entropy")
def _(rng: Rng) -> Iterator[Sample]:
    for shape in [(3, 4), (2, 3, 2), (4,), (0, 3)]:
        logits = rng.standard_normal(shape)
        classes = shape[1 if len(shape) > 1 else 0]
        target = constant(rng.integers(0, classes, shape[:1] + shape[2:] if shape[1:] else ()))
        weight = constant(rng.random(classes) + 0.5)
        reduction: Reduction = "mean" if logits.size else "sum"
        yield Sample(
            "softmax_cross_entropy",
            f"{shape}",
            partial(ops.cross_entropy, target=target, reduction=reduction),
            (logits,),
        )
        yield Sample(
            "softmax_cross_entropy",
            f"{shape}, weighted",
            lambda x, t=target, w=weight: ops.cross_entropy(x, t, w, reduction="none"),
            (logits,),
        )
