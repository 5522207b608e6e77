"""The engine as Neurenix sees it: a buffer is memory of a device, and work goes to its queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.backends import DeviceInfo, Kernel, Shape
from neurenix.dtypes import as_dtype

from . import _native
from .dlpack import Borrowed, dlpack_device, from_dlpack, to_dlpack
from .kernels import kernels
from .libraries import open_libraries

if TYPE_CHECKING:
    from neurenix import Tensor
    from neurenix.dtypes import DType
    from neurenix.graph import Executable, Graph

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
        self._libraries = open_libraries(look=not software)

    def devices(self) -> Sequence[DeviceInfo]:
        """Return the devices that the driver lists."""
        described = map(_native.describe, range(_native.device_count()))
        return [
            DeviceInfo(index, name, memory_bytes, self._software, self._libraries)
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

    def compile(self, graph: Graph) -> Executable:
        """Return what runs a graph by repeating what its kernels have queued once.

        Raises:
            PlanError: One of its ops has no kernel, or none that can be recorded.
        """
        from .executable import compile_graph

        return compile_graph(graph)

    def dlpack_device(self, index: int) -> tuple[int, int]:
        """Return DLPack's numbers of a device."""
        return dlpack_device(index)

    def to_dlpack(self, tensor: Tensor, **options: Any) -> Any:
        """Return a capsule over a tensor's memory; see `neurenix.Tensor.__dlpack__`."""
        return to_dlpack(tensor, **options)

    def from_dlpack(self, source: Any, index: int) -> Borrowed:
        """Return the memory of an object of another library's that is on a device."""
        return from_dlpack(source, index)

    def kernels(self) -> Mapping[str, Kernel]:
        """Return the kernels, by the names of the ops."""
        return self._kernels


def open_backend() -> GpuBackend:
    """Open the engine on the GPUs of this machine.

    Raises:
        RuntimeError: The driver cannot be used, and says why.
    """
    return GpuBackend()
