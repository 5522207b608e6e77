"""Random bits from a counter, and the numbers made of them.

The bits are Threefry-2x32's: additions, rotations and exclusive ors only, so that one key gives
the same bits on every device.

Reference:
    Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from neurenix.dtypes import int32, int64
from neurenix.ops import elementwise as ew
from neurenix.ops.movement import reshape, slice
from neurenix.ops.op import Shape, TensorMeta, primitive
from neurenix.ops.shapes import element_count

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


def _bits_meta(key: Any, *, shape: Shape) -> TensorMeta:
    return TensorMeta(shape, int32)


random_bits = primitive(
    "random_bits",
    meta=_bits_meta,
    differentiable=False,
    doc="""Return 32 random bits an element, as int32.

    ``key`` is int32 of shape (3,): two words of key and the number of the draw. Elements 2i and
    2i + 1 are the two words of Threefry-2x32 (20 rounds) at the counter (i, draw).""",
)


def uniform(key: Tensor, shape: Shape, digits: int = 24) -> Tensor:
    """Return float32 numbers in [0, 1), multiples of 2^-digits."""
    bits = ew.shift_right(random_bits(key, shape=shape), 32 - digits)
    return ew.bitwise_and(bits, 2**digits - 1).float() * 2.0**-digits


def normal(key: Tensor, shape: Shape) -> Tensor:
    """Return standard normal float32 numbers.

    Reference:
        Box and Muller 1958, "A note on the generation of random normal deviates".
    """
    count = element_count(shape)
    pairs = reshape(uniform(key, (2 * count,)), (count, 2))
    first = slice(pairs, (0, 0), (count, 1), (1, 1))
    second = slice(pairs, (0, 1), (count, 1), (1, 1))
    radius = ew.sqrt(-2.0 * ew.log(1.0 - first))  # 1 - u lies in (0, 1]
    return reshape(radius * ew.cos(2.0 * math.pi * second), shape)


def integers(key: Tensor, low: int, high: int, shape: Shape) -> Tensor:
    """Return int64 numbers from ``low`` to ``high - 1``: 32 bits times the span, the high word."""
    bits = random_bits(key, shape=shape).astype(int64)
    wide = ew.bitwise_and(bits, 0xFFFFFFFF)
    return ew.add(ew.shift_right(ew.mul(wide, high - low), 32), low)
