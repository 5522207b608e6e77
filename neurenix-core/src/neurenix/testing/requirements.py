"""Which dtypes a backend has to have a kernel for, primitive by primitive.

float32, int32 and bool wherever the op has a meaning for them that core relies on, and int64 where
indices are named, found or counted. Other dtypes may fall back on the host.
"""

from __future__ import annotations

from neurenix.dtypes import ALL, DType, bool_, float32, int32, int64
from neurenix.testing.calls import Call

_F = frozenset({float32})
_FI = frozenset({float32, int32})
_FIB = frozenset({float32, int32, bool_})
_IB = frozenset({int32, bool_})
_INDEX = frozenset({float32, int32, bool_, int64})

REQUIRED: dict[str, frozenset[DType]] = {
    **dict.fromkeys(("neg", "abs", "sign", "add", "sub", "mul", "maximum", "minimum"), _FI),
    **dict.fromkeys(("exp", "log", "sqrt", "sin", "cos", "tanh", "erf"), _F),
    **dict.fromkeys(("floor", "ceil", "round", "div", "pow", "prod", "matmul"), _F),
    **dict.fromkeys(("floor_div", "mod", "max", "min", "argmax", "argmin", "scatter_add"), _FI),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge", "logical_not", "where", "sum"), _FIB),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), _IB),
    **dict.fromkeys(("gather", "scatter"), _FIB),
    **dict.fromkeys(("cast", "fill"), _INDEX),
    "iota": _INDEX - {bool_},
    "shift_right": frozenset({int32}),
    "random_bits": frozenset({int32}),
    "copy": frozenset(ALL),  # it moves bytes
}
"""Primitive to the dtypes that every backend serves."""


def is_required(call: Call, dtype: DType) -> bool:
    """Whether every backend has to carry out a call in a dtype without the host's help.

    Composite ops are required in float32 and, where they only move values, in what their
    primitives are required in; a backend without a kernel composes them.
    """
    required = REQUIRED.get(call.op.name)
    if required is None:
        return dtype == float32
    if dtype not in required:
        return False
    target: DType | None = call.attrs.get("dtype")
    return target is None or target in required
