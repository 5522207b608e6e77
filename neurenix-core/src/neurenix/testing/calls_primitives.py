"""Calls of the primitives that no sample makes: integers, NaN, infinity, ties, sizes to time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from neurenix.backends.registry import host_device
from neurenix.dtypes import ALL, FLOATS, INTS, DType, bool_, int32, int64, uint8
from neurenix.ops.elementwise import Binary, Unary
from neurenix.ops.op import OPS
from neurenix.testing.calls import LARGE, Array, Call, call, caller
from neurenix.testing.samples import away_from_zero

Rng = np.random.Generator

PRIMITIVES = frozenset(
    name for name, op in OPS.items() if op.decomposition is None and not op.view
) - {"to_device"}
"""The ops that every backend must have a kernel for."""

_UNARY = [name for name in PRIMITIVES if isinstance(OPS[name], Unary)]
_BINARY = [name for name in PRIMITIVES if isinstance(OPS[name], Binary)]
_INTEGER_ONLY = {"bitwise_and", "bitwise_or", "bitwise_xor", "shift_right"}
_SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.0])
# Languages for kernels leave these open at infinity, or define them in several ways.
_OPEN_AT_INFINITY = {"pow", "mod", "floor_div"}
_POSITIVE = {"log", "sqrt"}


def served(name: str) -> frozenset[DType]:
    """Return the dtypes for which an op has a meaning: those that NumPy's kernel serves."""
    return host_device().kernels.native[name].dtypes


def is_float(name: str) -> bool:
    """Whether a primitive has a meaning for floating dtypes."""
    return FLOATS[0] in served(name)


@caller(*_UNARY)
def _(rng: Rng) -> Iterator[Call]:
    line = np.linspace(-8, 8, 33)
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5])
    for name in _UNARY:
        positive = name in _POSITIVE
        yield call(name, "wide", np.geomspace(1e-3, 1e3, 33) if positive else line)
        yield call(name, "nan and inf", _SPECIAL)
        yield call(name, LARGE, np.abs(rng.standard_normal((256, 256))) + 0.1)
        if name in ("floor", "ceil", "round"):
            yield call(name, "halves", halves)
        yield from _integer_unary(name)


def _integer_unary(name: str) -> Iterator[Call]:
    for dtype in served(name) - set(FLOATS):
        x = np.array([[3, -2, 0], [7, 1, -5]])
        x = np.abs(x) if dtype == uint8 else x
        yield call(name, "integers", x.astype(dtype))
        yield call(name, "integer 0-d", np.array(1, dtype))
        yield call(name, "no integers", np.zeros((2, 0), dtype))


@caller(*_BINARY)
def _(rng: Rng) -> Iterator[Call]:
    for name in _BINARY:
        if is_float(name):
            if name not in _OPEN_AT_INFINITY:
                pairs = np.array(list(itertools.product(_SPECIAL, repeat=2)))
                yield call(name, "nan and inf", pairs[:, 0], pairs[:, 1])
            x, y = (np.abs(rng.standard_normal((256, 256))) + 0.1 for _ in "xy")
            yield call(name, LARGE, x, y)
            same = away_from_zero(rng, (3, 3))
            yield call(name, "equal", np.abs(same) if name == "pow" else same, np.abs(same))
        else:
            x, y = (rng.integers(0, 32, (256, 256)).astype(int32) for _ in "xy")
            yield call(name, LARGE, x, y)
        yield from _integer_binary(name)


def _integer_binary(name: str) -> Iterator[Call]:
    for dtype in served(name) - set(FLOATS):
        x, y = np.array([[3, -2, 0], [7, 1, -5]]), np.array([2, -3, 5])
        if dtype == uint8:
            x, y = np.abs(x), np.abs(y)
        if name in ("pow", "shift_right"):
            y = np.array([2, 0, 1])
        yield call(name, "integers", x.astype(dtype), y.astype(dtype))
        yield call(name, "integers, 0-d left", np.array(5, dtype), y.astype(dtype))
        yield call(name, "no integers", np.zeros((0, 3), dtype), np.zeros((1, 3), dtype))


@caller("where")
def _(rng: Rng) -> Iterator[Call]:
    condition = np.array([[True], [False]])
    for dtype in (bool_, *INTS):
        x, y = np.array([1, 0, 3]).astype(dtype), np.array([[0, 2, 0]]).astype(dtype)
        yield call("where", "integers", condition, x, y)
    yield call("where", "nan and inf", np.arange(7) % 2 == 0, _SPECIAL, _SPECIAL[::-1].copy())
    wide = [rng.standard_normal((256, 256)) for _ in "xy"]
    yield call("where", LARGE, rng.random((256, 256)) < 0.5, *wide)


@caller("cast")
def _(rng: Rng) -> Iterator[Call]:
    for target in ALL:
        low = 0 if target == uint8 else -5
        values = np.array([[1.5, 0.0, 2.75], [low, 3.25, 5.0]])
        yield call("cast", f"to {target}", values, dtype=target)
        for source in (*INTS, bool_):
            x = np.abs(values) if uint8 in (source, target) else values
            yield call("cast", f"to {target}", x.astype(source), dtype=target)
    yield call("cast", "0-d", np.array(2.5), dtype=int32)
    yield call("cast", "empty", np.zeros((0, 2)), dtype=int32)
    yield call("cast", LARGE, rng.standard_normal((256, 256)) * 100, dtype=int32)


@caller("fill", "iota")
def _(rng: Rng) -> Iterator[Call]:
    for dtype in ALL:
        for shape in [(2, 3), (), (0, 2)]:
            values: list[Any] = [0, 1] if dtype == bool_ else [0, 7]
            values += [-2.5, np.inf, np.nan] if dtype in FLOATS else []
            values += [-3] if dtype in INTS and dtype != uint8 else []
            for value in values:
                yield call("fill", f"{shape} of {value}", shape=shape, value=value, dtype=dtype)
        if dtype == bool_:
            continue
        for size, start, step in [(5, 2, 3), (4, 9, -3), (0, 0, 1), (1, 4, 1)]:
            label = f"{size} from {start} by {step}"
            yield call("iota", label, size=size, start=start, step=step, dtype=dtype)
        if dtype in FLOATS:
            yield call("iota", "fractions", size=5, start=0.5, step=-0.25, dtype=dtype)
    yield call("fill", LARGE, shape=(256, 256), value=1.5, dtype=FLOATS[0])
    yield call("iota", LARGE, size=65536, start=3, step=1, dtype=int32)


@caller("copy")
def _(rng: Rng) -> Iterator[Call]:
    for dtype in (*INTS, bool_):
        for shape in [(2, 3), (), (0, 2)]:
            yield call("copy", f"integers {shape}", rng.integers(0, 2, shape).astype(dtype))
    yield call("copy", "nan and inf", _SPECIAL)
    yield call("copy", LARGE, rng.standard_normal((256, 256)))


# Label to shape, axes and whether they stay.
_REDUCTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], bool]] = {
    "rows": ((4, 5), (1,), False),
    "columns": ((4, 5), (0,), True),
    "middle": ((2, 3, 4), (1,), False),
    "outer": ((2, 3, 4), (0, 2), True),
    "all": ((3, 4), (0, 1), False),
    "no axes": ((2, 3), (), False),
    "long": ((2, 1000), (1,), False),
}


@caller("sum", "prod", "max", "min", "argmax", "argmin")
def _(rng: Rng) -> Iterator[Call]:
    for name in ("sum", "prod", "max", "min", "argmax", "argmin"):
        arg = name.startswith("arg")
        for label, (shape, axes, keepdims) in _REDUCTIONS.items():
            if arg and len(axes) != 1:
                continue
            attrs = {"axes": axes, "keepdims": keepdims}
            x = away_from_zero(rng, shape)
            if name == "prod":  # near 1, so that products of many stay in range
                x = 1 + x / 100
            yield call(name, label, x, **attrs)
            if label == "long":
                continue
            for dtype in served(name) - set(FLOATS):
                small = rng.integers(0, 2 if dtype == bool_ else 4, shape)
                yield call(name, f"integers, {label}", small.astype(dtype), **attrs)
        rows = {"axes": (1,), "keepdims": False}
        yield call(name, "nothing left", np.zeros((0, 3)), **rows)
        if name in ("sum", "prod"):
            yield call(name, "over nothing", np.zeros((3, 0)), **rows)
        special = np.array([[1.0, np.nan, 2, np.nan], [np.inf, 1, -np.inf, 1], [0, 0, 0, -1]])
        yield call(name, "nan and inf", special, **rows)
        yield call(name, "ties", np.array([[2.0, 3, 3, 2], [1, 1, 1, 1]]), **rows)
        yield call(name, LARGE, 1 + rng.standard_normal((256, 256)) / 100, **rows)


@caller("matmul")
def _(rng: Rng) -> Iterator[Call]:
    shapes = [
        ((3, 4), (4, 2)),
        ((1, 1), (1, 1)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((17, 33), (33, 9)),
        ((2, 0), (0, 3)),
        ((0, 2), (2, 3)),
    ]
    for a, b in shapes:
        x, y = rng.standard_normal(a), rng.standard_normal(b)
        yield call("matmul", f"{a} by {b}", x, y)
    for dtype in INTS:
        x, y = rng.integers(0, 4, (3, 4)).astype(dtype), rng.integers(0, 4, (4, 2)).astype(dtype)
        yield call("matmul", "integers", x, y)
    yield call("matmul", LARGE, rng.standard_normal((128, 256)), rng.standard_normal((256, 128)))


@caller("gather", "scatter", "scatter_add")
def _(rng: Rng) -> Iterator[Call]:
    for dtype in (bool_, *INTS):
        x = rng.integers(0, 2, (4, 3)).astype(dtype)
        yield call("gather", "integers", x, np.array([[3, 0, 2]]), axis=0)
        value = np.array([[1, 0, 1]]).astype(dtype)
        yield call("scatter", "integers", x, np.array([[3, 0, 2]]), value, axis=0)
        if dtype != bool_:
            yield call("scatter_add", "integers", x, np.array([[3, 0, 2]]), value, axis=0)
    x, value = rng.standard_normal((4, 3)), rng.standard_normal((4, 2))
    narrow = np.array([[2, 0], [1, 2], [0, 1], [2, 1]], int32)
    yield call("gather", "int32 index", x, narrow, axis=1)
    yield call("scatter", "int32 index", x, narrow, value, axis=1)
    yield call("scatter_add", "int32 index", x, narrow, value, axis=1)
    same: Array = np.zeros((5, 2), int64)
    yield call("scatter_add", "one place", x, same, rng.standard_normal((5, 2)), axis=0)
    x, index = rng.standard_normal((256, 256)), rng.integers(0, 256, (256, 256))
    unique = np.argsort(rng.random((256, 256)), 0)
    yield call("gather", LARGE, x, index, axis=0)
    yield call("scatter", LARGE, x, unique, x[::-1].copy(), axis=0)
    yield call("scatter_add", LARGE, x, index, x[::-1].copy(), axis=0)


@caller("random_bits")
def _(rng: Rng) -> Iterator[Call]:
    for shape in [(5,), (2, 3), (), (0,), (1001,)]:
        for key in [(0, 0, 0), (-1, 123456789, 7)]:
            yield call("random_bits", f"{shape} of {key}", np.array(key, int32), shape=shape)
    yield call("random_bits", LARGE, np.array([1, 2, 3], int32), shape=(256, 256))
