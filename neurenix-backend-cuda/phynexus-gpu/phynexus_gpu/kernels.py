"""The engine's table of kernels."""

from __future__ import annotations

from neurenix.backends import Kernel
from neurenix.dtypes import as_dtype

from . import _native


def kernels() -> dict[str, Kernel]:
    """Return the kernels by the names of the ops; what is not there, core decomposes."""
    return {
        name: Kernel(function, frozenset(map(as_dtype, dtypes)), strided, in_place)
        for name, function, dtypes, strided, in_place in _native.KERNELS
    }
