"""The primitives. A real backend has code for its processor here; this one has NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neurenix.dtypes import ALL
from neurenix_backend_example.launch import Array, kernel

F32, I32, I64, BOOL = np.float32, np.int32, np.int64, np.bool_
_erf = np.frompyfunc(math.erf, 1, 1)


def _elementwise(name: str, function: Any, *dtypes: Any) -> None:
    @kernel(name, dtypes)
    def _(out: Array, *inputs: Array) -> None:
        out[...] = function(*inputs)


for _name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "floor", "ceil"):
    _elementwise(_name, getattr(np, _name), F32)
for _name in ("negative", "absolute", "sign", "add", "subtract", "multiply"):
    _short = {"negative": "neg", "absolute": "abs", "subtract": "sub", "multiply": "mul"}
    _elementwise(_short.get(_name, _name), getattr(np, _name), F32, I32)
for _name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
    _symbol = {"equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le"}
    _symbol |= {"greater": "gt", "greater_equal": "ge"}
    _elementwise(_symbol[_name], getattr(np, _name), F32, I32, BOOL)
for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    _elementwise(_name, getattr(np, _name), I32, BOOL)
_elementwise("erf", _erf, F32)
_elementwise("round", np.rint, F32)
_elementwise("div", np.divide, F32)
_elementwise("pow", np.power, F32)
_elementwise("floor_div", np.floor_divide, F32, I32)
_elementwise("mod", np.remainder, F32, I32)
_elementwise("maximum", np.maximum, F32, I32)
_elementwise("minimum", np.minimum, F32, I32)
_elementwise("shift_right", np.right_shift, I32)
_elementwise("logical_not", np.logical_not, F32, I32, BOOL)
_elementwise("where", np.where, F32, I32, BOOL)


@kernel("copy", ALL, strided=True)
def copy(out: Array, x: Array) -> None:
    """Strided to strided."""
    out[...] = x


@kernel("cast", [F32, I32, I64, BOOL])
def cast(out: Array, x: Array, *, dtype: Any) -> None:
    """The values in another dtype."""
    out[...] = x.astype(dtype)


@kernel("fill", [F32, I32, I64, BOOL])
def fill(out: Array, *, shape: tuple[int, ...], value: Any, dtype: Any) -> None:
    """One value everywhere."""
    out[...] = np.array(value).astype(dtype)


@kernel("iota", [F32, I32, I64])
def iota(out: Array, *, size: int, start: Any, step: Any, dtype: Any) -> None:
    """start, start + step, and so on."""
    out[...] = start + np.arange(size) * step


def _reduction(name: str, function: Any, *dtypes: Any) -> None:
    @kernel(name, dtypes)
    def _(out: Array, x: Array, *, axes: tuple[int, ...], keepdims: bool) -> None:
        axis: Any = axes[0] if name.startswith("arg") else axes
        out[...] = function(x, axis=axis, keepdims=keepdims)


_reduction("sum", np.sum, F32, I32, BOOL)
_reduction("prod", np.prod, F32)
_reduction("max", np.max, F32, I32)
_reduction("min", np.min, F32, I32)
_reduction("argmax", np.argmax, F32, I32)
_reduction("argmin", np.argmin, F32, I32)


@kernel("matmul", [F32])
def matmul(out: Array, x: Array, y: Array) -> None:
    """The product over the last two axes; the others broadcast."""
    out[...] = x @ y


def _places(x: Array, index: Array, axis: int) -> tuple[Array, ...]:
    """The elements of x that an index along an axis names."""
    if index.size and not (index.min() >= 0 and index.max() < x.shape[axis]):
        raise IndexError(f"an index is outside of the axis, which has {x.shape[axis]} elements")
    grid = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[axis] = index
    return tuple(grid)


@kernel("gather", [F32, I32, I64, BOOL])
def gather(out: Array, x: Array, index: Array, *, axis: int) -> None:
    """The elements that an index names."""
    out[...] = x[_places(x, index, axis)]


@kernel("scatter", [F32, I32, I64, BOOL])
def scatter(out: Array, x: Array, index: Array, value: Array, *, axis: int) -> None:
    """A copy of x with values at the places of an index; the last one stays."""
    out[...] = x
    out[_places(x, index, axis)] = value[tuple(slice(n) for n in index.shape)]


@kernel("scatter_add", [F32, I32, I64])
def scatter_add(out: Array, x: Array, index: Array, value: Array, *, axis: int) -> None:
    """A copy of x with values added at the places of an index."""
    out[...] = x
    np.add.at(out, _places(x, index, axis), value[tuple(slice(n) for n in index.shape)])


@kernel("random_bits", [I32])
def random_bits(out: Array, key: Array, *, shape: tuple[int, ...]) -> None:
    """Threefry-2x32 with 20 rounds: element 2i and 2i + 1 are the block of counter (i, draw)."""
    first, second, draw = key.view(np.uint32)
    keys = (first, second, np.uint32(0x1BD11BDA) ^ first ^ second)
    a = np.arange((out.size + 1) // 2, dtype=np.uint32) + keys[0]
    b = np.full_like(a, draw) + keys[1]
    for turn in range(20):
        left = np.uint32((13, 15, 26, 6, 17, 29, 16, 24)[turn % 8])
        a = a + b
        b = (b << left | b >> (np.uint32(32) - left)) ^ a
        if turn % 4 == 3:
            group = turn // 4 + 1
            a, b = a + keys[group % 3], b + keys[(group + 1) % 3] + np.uint32(group)
    out[...] = np.stack([a, b], 1).reshape(-1)[: out.size].view(np.int32).reshape(out.shape)
