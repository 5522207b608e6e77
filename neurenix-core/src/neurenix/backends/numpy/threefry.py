"""Random bits from the counter-based generator Threefry-2x32 with 20 rounds.

Only additions, rotations and exclusive ors of 32-bit words: every device gives the same bits.

Reference:
    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel Random Numbers: As Easy as
    1, 2, 3", SC 2011.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import int32

# Rotation distances and key-schedule constant of Threefish, as the paper gives them for 2x32.
_ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)
_PARITY = 0x1BD11BDA
_BLOCK = 1 << 14  # counters at a time: four arrays of 64 KiB stay in the L2 cache


@kernel("random_bits", dtypes=(int32,), strided=False)
def random_bits(out: Array, key: Array, **_: Any) -> None:
    """Fill ``out`` (int32) with the stream of ``key`` = (key0, key1, draw).

    Elements 2i and 2i + 1 are the two words of the block with counter (i, draw).
    """
    key0, key1, draw = (int(word) for word in key.view(np.uint32))
    words = out.reshape(-1).view(np.uint32)
    pairs = (words.size + 1) // 2
    for start in range(0, pairs, _BLOCK):
        count = min(_BLOCK, pairs - start)
        counter = np.arange(start, start + count, dtype=np.uint32)
        first, second = threefry2x32(key0, key1, counter, np.full(count, draw, np.uint32))
        target = words[2 * start : 2 * (start + count)]
        target[0::2] = first
        target[1::2] = second[: target.size // 2]


def threefry2x32(key0: int, key1: int, x0: Array, x1: Array) -> tuple[Array, Array]:
    """Encrypt counters (x0, x1), uint32 arrays that are overwritten, and return both words."""
    keys = [np.uint32(k) for k in (key0, key1, _PARITY ^ key0 ^ key1)]
    shifted = np.empty_like(x0)
    np.add(x0, keys[0], out=x0)
    np.add(x1, keys[1], out=x1)
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            np.add(x0, x1, out=x0)
            np.left_shift(x1, np.uint32(distance), out=shifted)
            np.right_shift(x1, np.uint32(32 - distance), out=x1)
            np.bitwise_or(x1, shifted, out=x1)
            np.bitwise_xor(x1, x0, out=x1)
        np.add(x0, keys[(group + 1) % 3], out=x0)
        np.add(x1, keys[(group + 2) % 3], out=x1)
        np.add(x1, np.uint32(group + 1), out=x1)
    return x0, x1
