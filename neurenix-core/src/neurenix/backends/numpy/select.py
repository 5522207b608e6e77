"""Choosing between two arrays without a branch.

A masked copy branches on every element, and mispredicts every other one of a random condition,
such as the signs that the gradient of relu asks for: 4 ns an element. On bits it is 0.2 ns.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurenix.backends.numpy.scratch import scratch
from neurenix.backends.numpy.table import Array

_WORDS: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.int8),
    2: np.dtype(np.int16),
    4: np.dtype(np.int32),
    8: np.dtype(np.int64),
}
_BLOCK = 1 << 15
_SMALL = 1 << 12  # below it the calls cost more than the branches


def select(out: Array, condition: Array, x: Array, y: Array) -> None:
    """Write ``x`` where the condition (bools) holds and ``y`` elsewhere; the inputs broadcast."""
    if out.size < _SMALL or not out.dtype == x.dtype == y.dtype:
        np.copyto(out, y)
        np.copyto(out, x, where=condition)
        return
    word = _WORDS[out.dtype.itemsize]
    arrays = [
        out.view(word),
        np.broadcast_to(condition, out.shape).view(np.int8),
        *(np.broadcast_to(array, out.shape).view(word) for array in (x, y)),
    ]
    step = max(1, _BLOCK // (out.size // len(out)))
    if all(array.flags.c_contiguous for array in arrays):
        arrays = [array.reshape(-1) for array in arrays]
        step = _BLOCK
    for start in range(0, len(arrays[0]), step):
        target, chosen, first, second = (array[start : start + step] for array in arrays)
        mask = scratch("select.mask", target.shape, word)
        np.negative(chosen, out=mask, dtype=word)  # 1 becomes a word of ones
        # y ^ ((x ^ y) & mask): exact for every bit pattern, NaN and -0 too.
        np.bitwise_xor(first, second, out=target)
        np.bitwise_and(target, mask, out=target)
        np.bitwise_xor(target, second, out=target)
