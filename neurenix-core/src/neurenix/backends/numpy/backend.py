"""The NumPy backend: a buffer is an array, and the queue is the calling thread."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from neurenix.backends.numpy.table import KERNELS, Array, view
from neurenix.backends.protocol import DeviceInfo, Kernel, Shape
from neurenix.dtypes import DType

if TYPE_CHECKING:
    from neurenix.tensor import Tensor

# One module a family of ops; importing it registers its kernels.
_FAMILIES = (
    "attention",
    "conv",
    "elementwise",
    "fused",
    "gelu",
    "matmul",
    "movement",
    "norm",
    "optimizer",
    "pool",
    "reduce",
    "scatter",
    "softmax",
    "sort",
    "special",
    "threefry",
)


class NumpyBackend:
    """The reference implementation of `neurenix.backends.protocol.Backend`.

    It is not batch-invariant: BLAS chooses its blocking by the number of rows, so that a row of
    a product may change its last bits with the rows beside it.
    """

    batch_invariant = False

    def __init__(self) -> None:
        for family in _FAMILIES:
            import_module(f"neurenix.backends.numpy.{family}")

    def devices(self) -> Sequence[DeviceInfo]:
        """Return the one device there is."""
        name = platform.processor() or platform.machine()
        return [DeviceInfo(0, f"{name} (NumPy)", details={"numpy": np.__version__})]

    def allocator(self, index: int) -> Callable[[Shape, DType], Array]:
        """Return NumPy's own allocation."""
        return np.empty

    def from_host(self, array: Array, index: int) -> Array:
        """Return a dense copy."""
        return np.array(array, order="C", copy=True)

    def share_host(self, array: Array, index: int) -> Array:
        """Return the array itself: a buffer is one."""
        return array

    def to_host(self, tensor: Tensor) -> Array:
        """Return the array itself, without a copy."""
        return view(tensor)

    def synchronize(self, index: int) -> None:
        """Return at once: every kernel has finished when it returns."""

    def kernels(self) -> Mapping[str, Kernel]:
        """Return all registered kernels."""
        return KERNELS


def open_backend() -> NumpyBackend:
    """Open the NumPy backend."""
    return NumpyBackend()
