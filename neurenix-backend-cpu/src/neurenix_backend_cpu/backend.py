"""The engine as Neurenix sees it: a buffer is a NumPy array over memory of the engine's pool."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from neurenix import Tensor
from neurenix.backends import DeviceInfo, Kernel, Shape
from neurenix.backends.numpy.table import view
from neurenix.dtypes import as_dtype
from neurenix.ops.tape import version_of
from neurenix_backend_cpu import _native
from neurenix_backend_cpu.executable import Executable, compile_graph
from neurenix_backend_cpu.kernels import kernels

if TYPE_CHECKING:
    from neurenix.dtypes import DType
    from neurenix.graph import Graph
    from neurenix.graph.precision import Precision, PrecisionName

Array = np.ndarray[Any, Any]


class CpuBackend:
    """Phynexus on the CPU; see `neurenix.backends.protocol.Backend`.

    A result depends neither on the number of threads nor on the batch that a sample is part of.
    """

    batch_invariant = True
    precisions: Sequence[PrecisionName] = ("float32", "bfloat16", "int8")

    def __init__(self) -> None:
        _native.set_bfloat16(np.dtype(ml_dtypes.bfloat16).num)
        _native.set_instruction_set()
        _native.set_threads()
        _native.set_cache_limit()
        _native.keep_packed_weights(Tensor, version_of)
        self._kernels = kernels()

    def devices(self) -> Sequence[DeviceInfo]:
        """Return the one device there is."""
        name = _processor_name()
        details = {
            "instruction set": " ".join((_native.instruction_set(), *_native.extensions())),
            "threads": str(_native.threads()),
        }
        return [DeviceInfo(0, f"{name} (Phynexus)", details=details)]

    def allocator(self, index: int) -> Callable[[Shape, DType], Array]:
        """Return the pool's allocation."""
        return _native.allocate

    def from_host(self, array: Array, index: int) -> Array:
        """Return a dense copy."""
        buffer = _native.allocate(array.shape, as_dtype(array.dtype))
        np.copyto(buffer, array)
        return buffer

    def share_host(self, array: Array, index: int) -> Array:
        """Return the array itself: a buffer is one."""
        return array

    def to_host(self, tensor: Tensor) -> Array:
        """Return the array itself, without a copy."""
        return view(tensor)

    def synchronize(self, index: int) -> None:
        """Return at once: every kernel has finished when it returns."""

    def kernels(self) -> Mapping[str, Kernel]:
        """Return the kernels, by the names of the ops."""
        return self._kernels

    def compile(self, graph: Graph, precision: Precision | None = None) -> Executable:
        """Return the engine's plan of a graph.

        Args:
            graph: An optimized graph.
            precision: In what its layers compute, if not in float32; what does not stays in
                float32, and says so in the plan's description.

        Raises:
            PlanError: The engine has no code for one of its ops.
        """
        return compile_graph(graph, self._kernels, precision)


def open_backend() -> CpuBackend:
    """Open the engine.

    Raises:
        ValueError: ``NEURENIX_CPU_ISA`` or ``NEURENIX_NUM_THREADS`` is nonsense.
    """
    return CpuBackend()


def _processor_name() -> str:
    """Return what the processor is called."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
