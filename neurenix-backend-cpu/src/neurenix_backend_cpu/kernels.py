"""The engine's table of kernels."""

from __future__ import annotations

from neurenix.backends import Kernel
from neurenix.dtypes import as_dtype
from neurenix_backend_cpu import _native


def kernels() -> dict[str, Kernel]:
    """Return the kernels by the names of the ops.

    All are the engine's own. NumPy's would run on its buffers too, but their results may depend on
    the batch, which the engine promises theirs do not: what it lacks is decomposed by core.
    """
    return {
        name: Kernel(function, frozenset(map(as_dtype, dtypes)), strided, in_place)
        for name, function, dtypes, strided, in_place in _native.KERNELS
    }
