"""What an op should give: NumPy for the primitives, the decomposition for the composites.

Values are computed in float64 on the host, from inputs that the tested dtype holds. A primitive
is one call of NumPy, written down here without the kernels of the NumPy backend; a composite is
its decomposition into simpler ops, run on the host, so that no kernel is compared with itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from neurenix.autograd import no_grad
from neurenix.backends.registry import host_device
from neurenix.dtypes import DType
from neurenix.ops import dispatch
from neurenix.tensor import Tensor
from neurenix.testing.calls import Call

Array: TypeAlias = np.ndarray[Any, Any]
Reference: TypeAlias = Callable[..., Any]


def _reduction(function: Callable[..., Any]) -> Reference:
    def run(x: Array, *, axes: tuple[int, ...], keepdims: bool) -> Any:
        return function(x, axis=axes, keepdims=keepdims)

    return run


def _total(function: Callable[..., Any]) -> Reference:
    def run(x: Array, *, axes: tuple[int, ...], keepdims: bool) -> Any:
        dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.int64)
        return function(x, axis=axes, keepdims=keepdims, dtype=dtype)

    return run


def _place(function: Callable[..., Any]) -> Reference:
    def run(x: Array, *, axes: tuple[int, ...], keepdims: bool) -> Any:
        return function(x, axis=axes[0], keepdims=keepdims)

    return run


def _erf(x: Array) -> Array:
    values = [math.erf(v) for v in x.reshape(-1).tolist()]
    return np.array(values, np.float64).reshape(x.shape)


def _fill(*, shape: tuple[int, ...], value: Any, dtype: DType) -> Array:
    return np.full(shape, value, np.float64).astype(dtype)


def _iota(*, size: int, start: Any, step: Any, dtype: DType) -> Array:
    return np.array([start + i * step for i in range(size)]).astype(dtype)


def _gather(x: Array, index: Array, *, axis: int) -> Array:
    out: Array = np.take_along_axis(x[_box(x, index, axis)], index, axis)
    return out


def _box(x: Array, index: Array, axis: int) -> tuple[slice, ...]:
    """The part of ``x`` that an index reaches: all of the axis, of the others what it is long."""
    axis %= x.ndim
    return tuple(slice(None if a == axis else n) for a, n in enumerate(index.shape))


def _scatter(x: Array, index: Array, value: Array, *, axis: int) -> Array:
    out: Array = x.copy()
    np.put_along_axis(out[_box(x, index, axis)], index, value, axis)
    return out


def _scatter_add(x: Array, index: Array, value: Array, *, axis: int) -> Array:
    out = x.copy()
    for place in np.ndindex(*index.shape):
        target = list(place)
        target[axis] = int(index[place])
        out[tuple(target)] += value[place]
    return out


def _matmul(x: Array, y: Array) -> Array:
    out: Array = np.einsum("...ij,...jk->...ik", x, y)
    return out


def threefry(key: tuple[int, int], counter: tuple[int, int]) -> tuple[int, int]:
    """Return one block of Threefry-2x32 with 20 rounds, in Python's integers.

    Reference:
        Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    word = 0xFFFFFFFF
    keys = (*key, 0x1BD11BDA ^ key[0] ^ key[1])
    a, b = (counter[0] + keys[0]) & word, (counter[1] + keys[1]) & word
    for turn in range(20):
        distance = (13, 15, 26, 6, 17, 29, 16, 24)[turn % 8]
        a = (a + b) & word
        b = ((b << distance | b >> (32 - distance)) & word) ^ a
        if turn % 4 == 3:
            group = turn // 4 + 1
            a = (a + keys[group % 3]) & word
            b = (b + keys[(group + 1) % 3] + group) & word
    return a, b


def _random_bits(key: Array, *, shape: tuple[int, ...]) -> Array:
    first, second, draw = (int(word) & 0xFFFFFFFF for word in key)
    count = math.prod(shape)
    words: list[int] = []
    for i in range((count + 1) // 2):
        words += threefry((first, second), (i, draw))
    return np.array(words[:count], np.uint32).view(np.int32).reshape(shape)


REFERENCES: dict[str, Reference] = {
    "abs": np.abs,
    "add": np.add,
    "argmax": _place(np.argmax),
    "argmin": _place(np.argmin),
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "cast": lambda x, *, dtype: x.astype(dtype),
    "ceil": np.ceil,
    "copy": np.copy,
    "cos": np.cos,
    "div": np.divide,
    "eq": np.equal,
    "erf": _erf,
    "exp": np.exp,
    "fill": _fill,
    "floor": np.floor,
    "floor_div": np.floor_divide,
    "gather": _gather,
    "ge": np.greater_equal,
    "gt": np.greater,
    "iota": _iota,
    "le": np.less_equal,
    "log": np.log,
    "logical_not": np.logical_not,
    "lt": np.less,
    "matmul": _matmul,
    "max": _reduction(np.max),
    "maximum": np.maximum,
    "min": _reduction(np.min),
    "minimum": np.minimum,
    "mod": np.mod,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "pow": np.power,
    "prod": _total(np.prod),
    "random_bits": _random_bits,
    "round": np.round,
    "scatter": _scatter,
    "scatter_add": _scatter_add,
    "shift_right": np.right_shift,
    "sign": np.sign,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "sub": np.subtract,
    "sum": _total(np.sum),
    "tanh": np.tanh,
    "where": np.where,
}
"""Every primitive in NumPy's own words."""


def expected(call: Call, dtype: DType) -> list[Array]:
    """Return what a call in a dtype should give, floats in float64.

    Args:
        call: The call.
        dtype: The dtype it is tested in: its inputs are rounded to that first.
    """
    rounded = call.rounded(dtype)
    reference = REFERENCES.get(call.op.name)
    if reference is None:
        return host_outputs(rounded)
    with np.errstate(all="ignore"):
        result = np.asarray(reference(*rounded.inputs, **rounded.attrs))
    meta = call.op.meta(*rounded.inputs, **rounded.attrs)
    return [result.astype(meta.dtype).reshape(meta.shape)]


def host_outputs(call: Call) -> list[Array]:
    """Return what an op gives on the host: by its decomposition, where it has one."""
    host = host_device()
    with no_grad():
        tensors = [None if x is None else Tensor(x, device=host) for x in call.inputs]
        if call.op.decomposition is not None:
            results = dispatch.as_tuple(call.op.decomposition(*tensors, **call.attrs))
        else:
            results = dispatch.execute(call.op, tuple(tensors), dict(call.attrs), host)
        return [result.numpy().copy() for result in results]
