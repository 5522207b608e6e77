"""The dtypes and their promotion.

A dtype is NumPy's own dtype object; ``bfloat16`` is the one that ``ml_dtypes`` registers.
Promotion follows the Python array API standard, completed as this framework needs it: an
integer with a float gives the float's dtype, and ``float16`` with ``bfloat16`` gives ``float32``.
Python scalars are weak: they take the dtype of the tensor they meet, unless their kind is
higher (an integer tensor plus ``1.5`` is ``float32``).
"""

from __future__ import annotations

from functools import cache, reduce
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

from neurenix.errors import DTypeError

DType: TypeAlias = np.dtype[Any]
Scalar: TypeAlias = bool | int | float

float64: DType = np.dtype(np.float64)
float32: DType = np.dtype(np.float32)
float16: DType = np.dtype(np.float16)
bfloat16: DType = np.dtype(ml_dtypes.bfloat16)
int64: DType = np.dtype(np.int64)
int32: DType = np.dtype(np.int32)
int16: DType = np.dtype(np.int16)
int8: DType = np.dtype(np.int8)
uint8: DType = np.dtype(np.uint8)
bool_: DType = np.dtype(np.bool_)

FLOATS = (float32, float64, float16, bfloat16)
INTS = (int64, int32, int16, int8, uint8)
ALL = (*FLOATS, *INTS, bool_)

_BY_NAME = {dtype.name: dtype for dtype in ALL}
_SAME = {dtype: dtype for dtype in ALL}  # of equal dtypes, the one that is ours
_RANGES = {dtype: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) for dtype in INTS}
_KIND = {**dict.fromkeys(FLOATS, 2), **dict.fromkeys(INTS, 1), bool_: 0}


def as_dtype(dtype: Any) -> DType:
    """Return the canonical dtype for a dtype, its name, or a Python type.

    ``bool``, ``int`` and ``float`` mean ``bool``, ``int64`` and ``float32``, the default; so does
    None.

    Raises:
        DTypeError: Neurenix has no such dtype.
    """
    if dtype is None or dtype is float:
        return float32
    if dtype is int:
        return int64
    known = _SAME.get(dtype) if isinstance(dtype, np.dtype) else None
    if known is not None:  # the usual case, ten times as fast as asking for the name
        return known
    try:
        name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
        return _BY_NAME[name]
    except (KeyError, TypeError):
        raise DTypeError(
            f"{dtype!r} is not a dtype of Neurenix; it has {', '.join(_BY_NAME)}"
        ) from None


def is_floating(dtype: DType) -> bool:
    """Whether the dtype is a floating-point one, and so can carry a gradient."""
    return _KIND[dtype] == 2


@cache
def promote(a: DType, b: DType) -> DType:
    """Return the dtype in which values of two dtypes meet.

    Reference: Python array API standard, "Type promotion rules".
    """
    if a == b:
        return a
    if _KIND[a] != _KIND[b]:
        return a if _KIND[a] > _KIND[b] else b
    if _KIND[a] == 2:
        if a.itemsize == b.itemsize:  # float16 with bfloat16: neither holds the other
            return float32
        return a if a.itemsize > b.itemsize else b
    if uint8 in (a, b):
        other = b if a == uint8 else a
        return int16 if other == int8 else other
    return a if a.itemsize > b.itemsize else b


def result_dtype(*dtypes: DType) -> DType:
    """Return the dtype in which values of all the given dtypes meet."""
    return reduce(promote, dtypes)


def scalar_dtype(value: Scalar, like: DType) -> DType:
    """Return the dtype that a weak Python scalar takes beside a tensor of dtype ``like``."""
    if isinstance(value, float) and _KIND[like] < 2:
        return float32
    if isinstance(value, int) and not isinstance(value, bool) and _KIND[like] < 1:
        return int64
    return like


def check_fits(value: Scalar, dtype: DType) -> None:
    """Check that an integer dtype holds an integer.

    Raises:
        DTypeError: It does not; nothing wraps around unseen.
    """
    low, high = _RANGES.get(dtype, (value, value))
    if isinstance(value, int) and not low <= value <= high:
        raise DTypeError(
            f"{value} does not fit {dtype}, which holds {low} to {high}; use a wider dtype"
        )


def compute_dtype(dtype: DType) -> DType:
    """Return the dtype that arithmetic on ``dtype`` runs and accumulates in."""
    return float32 if _KIND[dtype] == 2 and dtype.itemsize == 2 else dtype


def float_dtype(dtype: DType) -> DType:
    """Return ``dtype`` if it is floating, else the default float dtype."""
    return dtype if _KIND[dtype] == 2 else float32
