"""Reusable scratch memory of the NumPy kernels, one pool a thread.

A convolution needs megabytes of scratch for each call. Asking the operating system for them
every time costs a page fault per 4 KiB, which takes longer than filling them; so every thread
keeps what it used.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

_ALIGNMENT_BYTES = 64  # a cache line, and the widest vector register
_KEPT_BYTES = 64 << 20  # larger requests are returned to the system after use


class _Pool(threading.local):
    def __init__(self) -> None:
        self.buffers: dict[str, npt.NDArray[np.uint8]] = {}


_pool = _Pool()


def scratch(slot: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return an uninitialised array whose memory is reused by the next request for ``slot``.

    Args:
        slot: Names the use; two arrays that live at the same time need two slots. Kernels that
            call each other must not share slots either.
        shape: Shape of the array.
        dtype: Its element type.

    Returns:
        A C-contiguous array, aligned to 64 bytes, valid until this thread asks for ``slot`` again.
    """
    size_bytes = math.prod(shape) * dtype.itemsize
    buffer = _pool.buffers.get(slot)
    if buffer is None or buffer.size < size_bytes:
        raw = np.empty(size_bytes + _ALIGNMENT_BYTES, dtype=np.uint8)
        buffer = raw[-raw.ctypes.data % _ALIGNMENT_BYTES :]
        if size_bytes <= _KEPT_BYTES:
            _pool.buffers[slot] = buffer
    return buffer[:size_bytes].view(dtype).reshape(shape)


def clear_scratch() -> None:
    """Give the calling thread's scratch memory back to the system."""
    _pool.buffers.clear()
