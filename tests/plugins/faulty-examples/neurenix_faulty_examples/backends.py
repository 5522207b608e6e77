"""The backends. Each function returns the example with the fault that it is named for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from neurenix_backend_example.backend import ExampleBackend
from neurenix_backend_example.launch import KERNELS, place
from neurenix_backend_example.processor import Block, Place, Processor

import neurenix
from neurenix.backends import Kernel
from neurenix.graph import Plan


class Altered(ExampleBackend):
    """The example with other kernels for some ops."""

    def __init__(self, **codes: Callable[..., None]) -> None:
        super().__init__()
        self._codes = codes

    def kernels(self) -> dict[str, Kernel]:
        """Return the example's kernels, some of them replaced."""
        altered = {}
        for name, code in self._codes.items():
            function = _launched(code)
            altered[name] = replace(KERNELS[name], function=function)
        return {**KERNELS, **altered}


def _launched(code: Callable[..., None]) -> Callable[..., None]:
    def launch(out: Any, *inputs: Any, **attrs: Any) -> None:
        processor = out.buffer.processor
        places = [place(out), *map(place, inputs)]
        processor.submit(lambda: code(processor, *places, **attrs))

    return launch


def late_source() -> ExampleBackend:
    """from_host reads the array when its turn comes, not before it returns."""

    class Late(ExampleBackend):
        def from_host(self, array: Any, index: int) -> Block:
            processor = self._processors[index]
            block = processor.allocate(array.nbytes)
            target = Place(block.number, array.dtype, array.shape, _dense(array.shape), 0)

            def work() -> None:
                time.sleep(1e-4)
                processor.view(target)[...] = array

            processor.submit(work)
            return block

    return Late()


def _dense(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))


def early_release() -> ExampleBackend:
    """Memory is taken and freed by the host at once, while work on it still waits in the queue."""

    class Early(Processor):
        def allocate(self, size_bytes: int) -> Block:
            block = Block(self, next(self._numbers))
            self._memory[block.number] = bytearray(size_bytes)
            return block

        def release(self, number: int) -> None:
            self._memory.pop(number, None)

    backend = ExampleBackend()
    backend._processors = [Early(index) for index in range(2)]
    return backend


def hoarder() -> ExampleBackend:
    """Every buffer is kept for ever."""

    class Hoarder(ExampleBackend):
        kept: list[Block] = []  # noqa: RUF012

        def allocator(self, index: int) -> Callable[..., Block]:
            allocate = super().allocator(index)

            def keep(shape: Any, dtype: Any) -> Block:
                self.kept.append(allocate(shape, dtype))
                return self.kept[-1]

            return keep

    return Hoarder()


def offset_blind() -> ExampleBackend:
    """The kernel of tanh reads from the beginning of the buffer, wherever the tensor begins."""

    def tanh(processor: Any, out: Place, x: Place) -> None:
        processor.view(out)[...] = np.tanh(processor.view(x._replace(offset=0)))

    return Altered(tanh=tanh)


def stride_blind() -> ExampleBackend:
    """The kernel of copy takes any input for a dense one."""

    def copy(processor: Any, out: Place, x: Place) -> None:
        dense = x._replace(strides=_dense(x.shape)) if 0 not in x.strides else x
        reach = dense.offset + int(np.prod(dense.shape))
        fits = reach * dense.dtype.itemsize <= len(processor._memory[x.block])
        processor.view(out)[...] = processor.view(dense if fits else x)

    return Altered(copy=copy)


def lazy_writer() -> ExampleBackend:
    """Exp rounds the number of elements down to whole vectors of 4."""

    def exp(processor: Any, out: Place, x: Place) -> None:
        target, values = processor.view(out).reshape(-1), processor.view(x).reshape(-1)
        count = target.size // 4 * 4
        target[:count] = np.exp(values[:count])

    return Altered(exp=exp)


def mixed_up_devices() -> ExampleBackend:
    """Everything goes to the first processor, whichever was asked for, and is read there."""

    class MixedUp(ExampleBackend):
        def from_host(self, array: Any, index: int) -> Block:
            block = super().from_host(array, index)
            if index:  # the values are on one processor, the block says another
                block.processor = self._processors[0]
            return block

    return MixedUp()


def false_claim() -> ExampleBackend:
    """It claims that a sample has the same bits in every batch, which its products do not."""

    def matmul(processor: Any, out: Place, x: Place, y: Place) -> None:
        a, b = processor.view(x), processor.view(y)
        processor.view(out)[...] = a @ b * np.float32(1 + 1e-6 * (a.shape[-2] % 2))

    backend = Altered(matmul=matmul)
    backend.batch_invariant = True
    return backend


def own_randomness() -> ExampleBackend:
    """Its random bits are good, and not those of other devices."""

    def random_bits(processor: Any, out: Place, key: Place, *, shape: tuple[int, ...]) -> None:
        seed = [int(word) & 0xFFFFFFFF for word in processor.view(key)]
        bits = np.random.default_rng(seed).integers(0, 2**32, shape, np.uint32)
        processor.view(out)[...] = bits.view(np.int32)

    return Altered(random_bits=random_bits)


def no_broadcast() -> ExampleBackend:
    """Add repeats the shorter operand element by element, whatever its shape."""

    def add(processor: Any, out: Place, x: Place, y: Place) -> None:
        target = processor.view(out)
        a, b = (np.resize(processor.view(each), target.shape) for each in (x, y))
        target[...] = a + b

    return Altered(add=add)


def guessed_scales() -> ExampleBackend:
    """Its 8-bit plans take every input to lie between -1 and 1, whatever was measured."""

    class Guessing(ExampleBackend):
        precisions = ("float32", "int8")

        def compile(self, graph: Any, precision: Any = None) -> Any:
            return None if precision is None else ClippingPlan(graph)

    return Guessing()


class ClippingPlan:
    """A plan whose inputs are clipped."""

    def __init__(self, graph: Any) -> None:
        self._plan = Plan(graph)

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """Run the graph on its inputs in a row, clipped."""
        return self._plan.run([neurenix.clip(each, -1.0, 1.0) for each in inputs])
