"""How far results may be from the reference, by dtype and op."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from neurenix.dtypes import DType, bfloat16, float16, float32, float64
from neurenix.ops.elementwise import Binary, Unary
from neurenix.ops.op import Op

Array: TypeAlias = np.ndarray[Any, Any]

RTOL: dict[DType, float] = {float64: 1e-9, float32: 1e-5, float16: 2.0**-9, bfloat16: 2.0**-6}
"""Relative tolerance: about 80 units in the last place of float32, two of the 16-bit floats."""

FACTORS = {
    "pow": 4.0,  # exp(y log x): the rounding of the logarithm is multiplied
    "sin": 4.0,  # near their zeros an error of the argument's reduction shows
    "cos": 4.0,
    "batch_norm_backward": 8.0,  # differences of sums that nearly cancel
    "layer_norm_backward": 8.0,
    "conv2d_grad_weight": 4.0,  # sums over all images and places
}
"""Ops that are allowed a multiple of it, and why."""

_EXACT = {"neg", "abs", "sign", "floor", "ceil", "round", "copy", "where", "cast", "fill"}
_EXACT |= {"maximum", "minimum", "max", "min", "gather", "scatter", "sort", "topk", "concat", "pad"}
_EXACT |= {"take", "put", "assign", "max_pool2d", "max_pool2d_values", "relu"}


def difference(op: Op, dtype: DType, ours: Array, theirs: Array, slack: float = 1.0) -> str | None:
    """Return what is wrong with a result, or None.

    Integers and bools, and ops that only move or choose values, have to be exact. Ops of one
    element at a time may err by a part of the value; those that add up many, by a part of the
    largest value.

    Args:
        op: The op.
        dtype: The dtype of its inputs.
        ours: The result.
        theirs: What it should be; floats in float64.
        slack: Multiplies the tolerance.
    """
    if ours.shape != theirs.shape:
        return f"the shape is {ours.shape}, and should be {theirs.shape}"
    if ours.size == 0:
        return None
    kind = ours.dtype
    with np.errstate(all="ignore"):
        wanted = theirs.astype(kind).astype(np.float64)
        found = ours.astype(np.float64)
        if kind not in RTOL or (op.name in _EXACT and slack == 1.0):
            bad = ~((found == wanted) | (np.isnan(found) & np.isnan(wanted)))
            if kind not in RTOL and kind.itemsize == 8:
                bad = ours != theirs.astype(kind)
        else:
            bad = _far(op, dtype, found, wanted, slack)
    if not bad.any():
        return None
    place = np.unravel_index(int(np.argmax(bad)), bad.shape)
    return (
        f"element {tuple(map(int, place))} is {ours[place]!s}, and should be "
        f"{wanted[place]:.9g}; {int(bad.sum())} of {bad.size} elements are wrong"
    )


def _far(op: Op, dtype: DType, found: Array, wanted: Array, slack: float) -> Array:
    rtol = max(RTOL.get(dtype, RTOL[float32]), RTOL[float64]) * FACTORS.get(op.name, 1.0) * slack
    finite = np.isfinite(wanted)
    if isinstance(op, (Unary, Binary)):
        scale = 0.1
    else:
        scale = max(1.0, float(np.abs(np.where(finite, wanted, 0)).max()))
    near = np.abs(found - wanted) <= rtol * (np.abs(wanted) + scale)
    # A value that the dtype rounds to infinity may also have stayed just below.
    edge = ~finite & ~np.isnan(wanted) & (np.abs(found) > _largest(dtype))
    bad: Array = np.where(finite, ~near, found != wanted)
    bad &= ~(np.isnan(found) & np.isnan(wanted)) & ~(edge & (np.sign(found) == np.sign(wanted)))
    return bad


def _largest(dtype: DType) -> float:
    return {float16: 6.5e4, bfloat16: 3.3e38}.get(dtype, 3.4e38 if dtype == float32 else 1.7e308)
