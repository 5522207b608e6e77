"""The engine's table of kernels."""

from __future__ import annotations

from collections.abc import Mapping

from neurenix.backends import Kernel
from neurenix.backends.numpy.backend import NumpyBackend
from neurenix.dtypes import as_dtype
from neurenix_backend_cpu import _native


def native_kernels() -> dict[str, Kernel]:
    """Return what the engine computes itself, by the names of the ops."""
    return {
        name: Kernel(function, frozenset(map(as_dtype, dtypes)), strided, in_place)
        for name, function, dtypes, strided, in_place in _native.KERNELS
    }


def kernels() -> Mapping[str, Kernel]:
    """Return all kernels by the names of the ops: the engine's, and NumPy's for other ops.

    A buffer of the engine is a NumPy array, so that NumPy's kernels run on it as they are.
    """
    return {**NumpyBackend().kernels(), **native_kernels()}
