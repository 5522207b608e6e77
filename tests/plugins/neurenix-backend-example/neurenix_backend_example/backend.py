"""What Neurenix talks to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.backends import DeviceInfo, Kernel, Shape
from neurenix_backend_example import kernels  # noqa: F401  (registers them)
from neurenix_backend_example.launch import KERNELS, Array, place
from neurenix_backend_example.processor import Block, Place, Processor

if TYPE_CHECKING:
    from neurenix import Tensor

_COUNT = 2


class ExampleBackend:
    """Two processors, each with a memory and a queue of its own."""

    batch_invariant = False

    def __init__(self) -> None:
        self._processors = [Processor(index) for index in range(_COUNT)]

    def devices(self) -> Sequence[DeviceInfo]:
        """Return the processors; they are emulated, so that none is chosen unasked."""
        return [DeviceInfo(p.index, "example processor", software=True) for p in self._processors]

    def allocator(self, index: int) -> Callable[[Shape, Any], Block]:
        """Return the function that allocates on a processor."""
        allocate = self._processors[index].allocate
        return lambda shape, dtype: allocate(math.prod(shape) * dtype.itemsize)

    def from_host(self, array: Array, index: int) -> Block:
        """Send values to a processor: a copy of them, so that the array may be reused."""
        processor = self._processors[index]
        block = processor.allocate(array.nbytes)
        values = np.array(array, order="C")
        target = Place(block.number, values.dtype, (values.size,), (1,), 0)

        def work() -> None:
            processor.view(target)[...] = values.reshape(-1)

        processor.submit(work)
        return block

    def to_host(self, tensor: Tensor) -> Array:
        """Fetch values, once everything that was queued before is done."""
        processor, source = tensor.buffer.processor, place(tensor)
        found: Array = processor.ask(lambda: np.array(processor.view(source), order="C"))
        return found

    def synchronize(self, index: int) -> None:
        """Wait for a processor."""
        self._processors[index].synchronize()

    def kernels(self) -> Mapping[str, Kernel]:
        """Return the kernels of the primitives."""
        return KERNELS


def open_backend() -> ExampleBackend:
    """Open the backend."""
    return ExampleBackend()
