"""Elementwise kernels: NumPy's universal functions, table-driven."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.backends.numpy.select import select
from neurenix.backends.numpy.table import KERNELS, Array, kernel, nested, quiet, view
from neurenix.backends.protocol import Kernel
from neurenix.dtypes import ALL, FLOATS, INTS, bool_

if TYPE_CHECKING:
    from neurenix.tensor import Tensor

_UNARY: dict[str, np.ufunc] = {
    "neg": np.negative,
    "sign": np.sign,
    "abs": np.absolute,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
}
_BINARY: dict[str, np.ufunc] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "floor_div": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "shift_right": np.right_shift,
}
_FLOAT_ONLY = {"exp", "log", "sqrt", "sin", "cos", "tanh", "div"}
_INTEGER_ONLY = {"bitwise_and", "bitwise_or", "bitwise_xor", "shift_right"}
# NumPy does not define these for bools, or gives them another dtype.
_NO_BOOLS = {"neg", "sign", "sub", "pow", "floor_div", "mod", "shift_right"}


def _dtypes(name: str) -> frozenset[Any]:
    if name in _FLOAT_ONLY:
        return frozenset(FLOATS)
    dtypes = (*INTS, bool_) if name in _INTEGER_ONLY else ALL
    return frozenset(dtypes) - ({bool_} if name in _NO_BOOLS else set())


def _register_unary(name: str, function: np.ufunc) -> None:
    def run(out: Tensor, x: Tensor) -> None:
        try:
            quiet.run(function, view(x), out=view(out), casting="unsafe")
        except RuntimeError as error:
            nested(error, function, view(x), out=view(out), casting="unsafe")

    KERNELS[name] = Kernel(run, _dtypes(name), strided=True, in_place=True)


def _register_binary(name: str, function: np.ufunc) -> None:
    def run(out: Tensor, x: Tensor, y: Tensor) -> None:
        # The test of `view`, here instead of in three calls: this is the path of small tensors.
        try:
            quiet.run(
                function,
                x.buffer if x._strides is None else view(x),
                y.buffer if y._strides is None else view(y),
                out=out.buffer if out._strides is None else view(out),
            )
        except RuntimeError as error:
            nested(error, function, view(x), view(y), out=view(out))

    KERNELS[name] = Kernel(run, _dtypes(name), strided=True, in_place=True)


for _name, _unary in _UNARY.items():
    _register_unary(_name, _unary)
for _name, _binary in _BINARY.items():
    _register_binary(_name, _binary)


@kernel("logical_not")
def logical_not(out: Array, x: Array) -> None:
    """Where x is zero."""
    np.equal(x, 0, out=out)


@kernel("where")
def where(out: Array, condition: Array, x: Array, y: Array) -> None:
    """``x`` where the condition holds, ``y`` elsewhere."""
    select(out, condition, x, y)


@kernel("cast")
def cast(out: Array, x: Array, *, dtype: Any) -> None:
    """The values in another dtype; floats to integers truncate toward zero."""
    np.copyto(out, x, casting="unsafe")
