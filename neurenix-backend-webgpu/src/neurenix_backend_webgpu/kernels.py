"""The backend's table of kernels."""

from __future__ import annotations

from neurenix.backends import Kernel
from neurenix.dtypes import as_dtype
from neurenix_backend_webgpu import _native


def kernels() -> dict[str, Kernel]:
    """Return the kernels by the names of the ops; what is missing is decomposed by core."""
    return {
        name: Kernel(function, frozenset(map(as_dtype, dtypes)), strided, in_place)
        for name, function, dtypes, strided, in_place in _native.KERNELS
    }
