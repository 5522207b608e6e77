"""The engine as Neurenix sees it: a buffer is memory of a device, and work goes to its queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.backends import DeviceInfo, Kernel, Shape
from neurenix.dtypes import as_dtype

from . import _native
from .kernels import kernels

if TYPE_CHECKING:
    from neurenix import Tensor
    from neurenix.dtypes import DType

Array = np.ndarray[Any, Any]


class GpuBackend:
    """Phynexus on GPUs; see `neurenix.backends.protocol.Backend`.

    Args:
        software: The devices are emulated, and not for automatic choice.
    """

    batch_invariant = False

    def __init__(self, *, software: bool = False) -> None:
        _native.set_dtypes([as_dtype(name) for name in _native.DTYPES])
        self._software = software
        self._kernels = kernels()

    def devices(self) -> Sequence[DeviceInfo]:
        """Return the devices that the driver lists."""
        described = map(_native.describe, range(_native.device_count()))
        return [
            DeviceInfo(index, name, memory_bytes, software=self._software)
            for index, (name, memory_bytes) in enumerate(described)
        ]

    def allocator(self, index: int) -> Callable[[Shape, DType], _native.Buffer]:
        """Return the allocation of a device's memory, which keeps what is given back."""
        return partial(_native.allocate, index)

    def from_host(self, array: Array, index: int) -> _native.Buffer:
        """Return a copy of an array on a device."""
        dense = np.ascontiguousarray(array)
        buffer = _native.allocate(index, dense.shape, as_dtype(dense.dtype))
        _native.upload(buffer, dense.__array_interface__["data"][0], dense.nbytes)
        return buffer

    def to_host(self, tensor: Tensor) -> Array:
        """Return a tensor's values, after all work queued before.

        Raises:
            IndexError: A kernel that was queued before has met an index out of range.
        """
        out = np.empty(tensor.shape, tensor.dtype)
        _native.download(tensor, out.__array_interface__["data"][0], out.nbytes)
        return out

    def synchronize(self, index: int) -> None:
        """Wait for all work queued on a device.

        Raises:
            IndexError: A kernel has met an index out of range.
        """
        _native.synchronize(index)

    def kernels(self) -> Mapping[str, Kernel]:
        """Return the kernels, by the names of the ops."""
        return self._kernels


def open_backend() -> GpuBackend:
    """Open the engine on the GPUs of this machine.

    Raises:
        RuntimeError: The driver cannot be used, and says why.
    """
    return GpuBackend()
