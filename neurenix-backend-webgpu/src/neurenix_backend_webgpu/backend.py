"""The backend as Neurenix sees it: buffers are device memory, kernels record work on a queue."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.backends import DeviceInfo, Kernel, Shape
from neurenix.dtypes import ALL
from neurenix.ops import dispatch
from neurenix_backend_webgpu import _native
from neurenix_backend_webgpu.adapters import adapters
from neurenix_backend_webgpu.kernels import kernels

if TYPE_CHECKING:
    from neurenix import Tensor
    from neurenix.dtypes import DType
    from neurenix.graph import Graph, RecordedPlan

Array = np.ndarray[Any, Any]

SOFTWARE = "NEURENIX_WEBGPU_SOFTWARE"
"""Set to 1, an adapter that emulates a GPU counts as one: for tests."""
MEMORY = "NEURENIX_WEBGPU_MEMORY_BYTES"
"""The most memory that is taken on a device, in bytes; it is read when the device is opened."""


class WebGpuBackend:
    """WebGPU; see `neurenix.backends.protocol.Backend`."""

    batch_invariant = True

    def __init__(self) -> None:
        _native.set_dtypes([(np.dtype(dtype).num, dtype.name) for dtype in ALL])
        self._adapters = adapters()
        self._open: dict[int, _native.Device] = {}
        self._kernels = kernels()
        atexit.register(self._finish)

    def devices(self) -> Sequence[DeviceInfo]:
        """Return the adapters, GPUs first; what emulates one says so unless it is wanted."""
        wanted = os.environ.get(SOFTWARE) == "1"
        return [
            DeviceInfo(
                index,
                f"{name} ({interface})",
                software=software and not wanted,
                details={"driver": driver, **{limit: str(value) for limit, value in limits}},
            )
            for index, (name, driver, interface, software, limits) in enumerate(self._adapters)
        ]

    def allocator(self, index: int) -> Callable[[Shape, DType], _native.Buffer]:
        """Return the pool's allocation."""
        return self.device(index).allocate

    def from_host(self, array: Array, index: int) -> _native.Buffer:
        """Record the upload of an array's values."""
        device = self.device(index)
        buffer = device.allocate(array.shape, array.dtype)
        device.write(buffer, np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        return buffer

    def to_host(self, tensor: Tensor) -> Array:
        """Return a tensor's values, after all work recorded before."""
        values = np.empty(tensor.shape, tensor.dtype)
        if values.size:
            device = self.device(tensor.device.index)
            device.read(self._dense(tensor), values.reshape(-1).view(np.uint8))
        return values

    def _dense(self, tensor: Tensor) -> Tensor:
        """Return the tensor, or a dense copy; unlike core's, never of a trace or under watch."""
        if tensor.is_contiguous():
            return tensor
        buffer = self.device(tensor.device.index).allocate(tensor.shape, tensor.dtype)
        copy = dispatch.make(buffer, tensor.dtype, tensor.shape, tensor.device)
        self._kernels["copy"].function(copy, tensor)
        return copy

    def synchronize(self, index: int) -> None:
        """Wait for all work recorded so far."""
        self.device(index).synchronize()

    def kernels(self) -> Mapping[str, Kernel]:
        """Return the kernels, by the names of the ops."""
        return self._kernels

    def compile(self, graph: Graph) -> RecordedPlan:
        """Return what runs a graph by repeating what its kernels record once.

        Raises:
            PlanError: One of its ops has no kernel, or none that can be repeated.
        """
        from neurenix_backend_webgpu.executable import ChainedPlan

        return ChainedPlan(graph, self.device(graph.device.index))

    def device(self, index: int) -> _native.Device:
        """Return the native device of an index, opened at the first call."""
        device = self._open.get(index)
        if device is None:
            device = _native.Device(index)
            budget = _memory_budget()
            if budget is not None:
                device.set_memory_budget(budget)
            device = self._open.setdefault(index, device)
        return device

    def _finish(self) -> None:
        """Let work in flight end before the interpreter does, and the driver's threads with it."""
        for device in self._open.values():
            device.finish()


def _memory_budget() -> int | None:
    """Return what the environment allows, in bytes, or None where it does not say."""
    asked = os.environ.get(MEMORY, "")
    if not asked:
        return None
    if not asked.isdecimal():
        raise ValueError(f"{MEMORY} is {asked!r}, and should be a number of bytes")
    return int(asked)


def open_backend() -> WebGpuBackend:
    """Open the backend: ask the drivers which adapters there are."""
    return WebGpuBackend()
