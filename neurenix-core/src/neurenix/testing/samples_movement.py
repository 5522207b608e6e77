"""Samples of views, moves, indexing, reductions, products and sorting."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neurenix import ops
from neurenix.ops import elementwise as ew
from neurenix.ops import movement
from neurenix.ops.indexing import _take_backward
from neurenix.testing.samples import Sample, away_from_zero, constant, sampler

Rng = np.random.Generator


@sampler("where")
def _(rng: Rng) -> Iterator[Sample]:
    for c, a, b in [((2, 3), (2, 3), (2, 3)), ((2, 1), (3,), ()), ((0, 3), (1, 3), (0, 1))]:
        condition = constant(rng.random(c) < 0.5)
        x, y = rng.standard_normal(a), rng.standard_normal(b)
        yield Sample(
            "where", f"{c}, {a}, {b}", lambda x, y, c=condition: ops.where(c, x, y), (x, y)
        )


@sampler("cast")
def _(rng: Rng) -> Iterator[Sample]:
    x = np.round(rng.standard_normal((2, 3)) * 4) / 4  # exact in float32
    yield Sample("cast", "same", lambda x: ew.cast(x, dtype=x.dtype), (x,))


@sampler("reshape")
def _(rng: Rng) -> Iterator[Sample]:
    for a, b in [
        ((2, 6), (3, 4)),
        ((2, 3, 4), (-1,)),
        ((1,), ()),
        ((0, 3), (3, 0)),
        ((4,), (2, 2)),
    ]:
        x = rng.standard_normal(a)
        yield Sample("reshape", f"{a} to {b}", lambda x, b=b: ops.reshape(x, b), (x,))


@sampler("permute")
def _(rng: Rng) -> Iterator[Sample]:
    for shape, axes in [((2, 3, 4), (2, 0, 1)), ((2, 3), (1, 0)), ((0, 2), (1, 0)), ((), ())]:
        x = rng.standard_normal(shape)
        yield Sample("permute", f"{axes}", lambda x, a=axes: movement._permute(x, axes=a), (x,))


@sampler("expand")
def _(rng: Rng) -> Iterator[Sample]:
    for a, b in [((2, 1), (2, 3)), ((3,), (2, 3)), ((), (2, 2)), ((1, 2), (0, 2))]:
        x = rng.standard_normal(a)
        yield Sample("expand", f"{a} to {b}", lambda x, b=b: ops.expand(x, b), (x,))


@sampler("slice")
def _(rng: Rng) -> Iterator[Sample]:
    x = rng.standard_normal((5, 6))
    keys = {
        "row": np.s_[1],
        "steps": np.s_[::2, 1::3],
        "negative": np.s_[-3:-1],
        "empty": np.s_[2:2],
        "new axis": np.s_[None, 1:3, ..., 0],
    }
    for label, key in keys.items():
        yield Sample("slice", label, lambda x, k=key: x[k], (x,))


@sampler("unfold")
def _(rng: Rng) -> Iterator[Sample]:
    for size, step, dilation in [(3, 1, 1), (2, 2, 1), (2, 1, 2), (2, 3, 2)]:
        x = rng.standard_normal((2, 6, 2))
        yield Sample(
            "unfold",
            f"{size}, {step}, {dilation}",
            lambda x, s=size, t=step, d=dilation: ops.unfold(x, 1, s, t, d),
            (x,),
        )


@sampler("copy")
def _(rng: Rng) -> Iterator[Sample]:
    yield Sample("copy", "dense", lambda x: x.clone(), (rng.standard_normal((2, 3)),))
    yield Sample("copy", "0-d", lambda x: x.clone(), (rng.standard_normal(()),))


@sampler("pad")
def _(rng: Rng) -> Iterator[Sample]:
    for shape, widths in [((2, 3), ((1, 0), (0, 2))), ((0, 2), ((1, 1), (0, 0)))]:
        x = rng.standard_normal(shape)
        yield Sample("pad", f"{shape}", lambda x, w=widths: ops.pad(x, w, 0.5), (x,))
    yield Sample(
        "pad",
        "interior",
        lambda x: movement._pad(x, widths=((0, 1), (1, 0)), interior=(1, 2), value=0),
        (rng.standard_normal((2, 3)),),
    )


@sampler("concat")
def _(rng: Rng) -> Iterator[Sample]:
    for axis, shapes in [(0, [(2, 3), (1, 3)]), (-1, [(2, 1), (2, 0), (2, 2)])]:
        inputs = tuple(rng.standard_normal(shape) for shape in shapes)
        yield Sample("concat", f"axis {axis}", lambda *xs, a=axis: ops.concat(xs, a), inputs)
    pair = (rng.standard_normal(()), rng.standard_normal(()))
    yield Sample("concat", "stack of 0-d", lambda *xs: ops.stack(xs), pair)


@sampler("gather", "scatter", "scatter_add")
def _(rng: Rng) -> Iterator[Sample]:
    for axis, shape in [(0, (2, 3)), (1, (4, 2)), (-1, (4, 0))]:
        x = rng.standard_normal((4, 3))
        value = rng.standard_normal(shape)
        index = constant(rng.integers(0, x.shape[axis], shape))
        unique = constant(np.argsort(rng.random(shape), axis))
        label = f"axis {axis}, {shape}"
        yield Sample("gather", label, lambda x, i=index, a=axis: ops.gather(x, i, a), (x,))
        yield Sample(
            "scatter", label, lambda x, v, i=unique, a=axis: ops.scatter(x, i, v, a), (x, value)
        )
        yield Sample(
            "scatter_add",
            label,
            lambda x, v, i=index, a=axis: ops.scatter_add(x, i, v, a),
            (x, value),
        )


@sampler("take", "take_backward")
def _(rng: Rng) -> Iterator[Sample]:
    for shape in [(2, 3), (), (0,)]:
        index = constant(rng.integers(0, 4, shape))
        x = rng.standard_normal((4, 2))
        grad = rng.standard_normal((*shape, 2))
        yield Sample("take", f"{shape}", lambda x, i=index: ops.take(x, i), (x,))
        yield Sample(
            "take_backward", f"{shape}", lambda g, i=index: _take_backward(g, i, rows=4), (grad,)
        )
    pairs = np.s_[[0, 1, 3], :, [1, 0, 1]]
    yield Sample("take", "two axes", lambda x: x[pairs], (rng.standard_normal((4, 2, 3)),))
    mask = rng.random((4, 3)) < 0.5
    yield Sample("take", "mask", lambda x: x[mask], (rng.standard_normal((4, 3)),))


@sampler("sum", "prod", "max", "min")
def _(rng: Rng) -> Iterator[Sample]:
    functions = {"sum": ops.sum, "prod": ops.prod, "max": ops.max, "min": ops.min}
    for name, function in functions.items():
        for axis in (None, 0, (0, 2), -1):
            for keepdims in (False, True):
                x = away_from_zero(rng, (2, 3, 2))
                yield Sample(
                    name,
                    f"axis {axis}, keepdims {keepdims}",
                    lambda x, f=function, a=axis, k=keepdims: f(x, a, k),
                    (x,),
                )
        yield Sample(name, "0-d", lambda x, f=function: f(x), (rng.standard_normal(()),))
    yield Sample("sum", "empty", lambda x: ops.sum(x, 0), (np.zeros((0, 2)),))
    yield Sample("prod", "empty", lambda x: ops.prod(x, 0), (np.zeros((0, 2)),))
    zeros = away_from_zero(rng, (2, 3))
    zeros[0, 1] = 0.0
    yield Sample("prod", "with a zero", lambda x: ops.prod(x, 1), (zeros,))


@sampler("matmul")
def _(rng: Rng) -> Iterator[Sample]:
    pairs = [
        ((2, 3), (3, 2)),
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (2, 3, 2)),
        ((2, 1, 2, 3), (3, 3, 2)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 3)),
    ]
    for a, b in pairs:
        x, y = rng.standard_normal(a), rng.standard_normal(b)
        yield Sample("matmul", f"{a}, {b}", ops.matmul, (x, y))


@sampler("linear")
def _(rng: Rng) -> Iterator[Sample]:
    weight, bias = rng.standard_normal((4, 3)), rng.standard_normal(4)
    for shape in [(2, 3), (3,), (2, 2, 3), (0, 3)]:
        x = rng.standard_normal(shape)
        yield Sample("linear", f"{shape}", ops.linear, (x, weight, bias))
        yield Sample("linear", f"{shape}, no bias", lambda x, w: ops.linear(x, w), (x, weight))


@sampler("sort", "topk")
def _(rng: Rng) -> Iterator[Sample]:
    for axis in (0, -1):
        for flag in (False, True):
            x = away_from_zero(rng, (4, 3))
            label = f"axis {axis}, {flag}"
            yield Sample("sort", label, lambda x, a=axis, f=flag: ops.sort(x, a, f)[0], (x,))
            yield Sample("topk", label, lambda x, a=axis, f=flag: ops.topk(x, 2, a, f)[0], (x,))


@sampler("leaky_relu", "gelu", "softmax", "log_softmax")
def _(rng: Rng) -> Iterator[Sample]:
    x = away_from_zero(rng, (2, 3))
    yield Sample("leaky_relu", "slope", lambda x: ops.leaky_relu(x, 0.1), (x,))
    yield Sample("gelu", "exact", ops.gelu, (x,))
    yield Sample("gelu", "tanh", lambda x: ops.gelu(x, "tanh"), (x,))
    for axis in (0, -1):
        yield Sample("softmax", f"axis {axis}", lambda x, a=axis: ops.softmax(x, a), (x,))
        yield Sample("log_softmax", f"axis {axis}", lambda x, a=axis: ops.log_softmax(x, a), (x,))
