"""The processor: memory that only its own thread touches, and a queue of work in order.

A real backend has a driver in the place of this module.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np


class Processor:
    """One processor. The host hands over work; only `synchronize` and `ask` wait for it."""

    def __init__(self, index: int) -> None:
        self.index = index
        self._memory: dict[int, bytearray] = {}
        self._numbers = itertools.count()
        # Its put may be called at any time, also by a finalizer in the middle of another put.
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._error: BaseException | None = None
        threading.Thread(target=self._work, name=f"example:{index}", daemon=True).start()

    def _work(self) -> None:
        np.seterr(all="ignore")  # NaN and infinity are results
        while True:
            work = self._queue.get()
            try:
                work()
            except BaseException as error:  # reported where the host waits next
                self._error = self._error or error

    def submit(self, work: Callable[[], None]) -> None:
        """Add work to the end of the queue."""
        self._queue.put(work)

    def allocate(self, size_bytes: int) -> Block:
        """Return a block of memory; the host goes on at once."""
        number = next(self._numbers)

        def work() -> None:
            self._memory[number] = bytearray(size_bytes)

        self.submit(work)
        return Block(self, number)

    def release(self, number: int) -> None:
        """Free a block once the work that was queued before is done."""
        self.submit(lambda: self._memory.pop(number, None) and None)

    def view(self, place: Place) -> np.ndarray[Any, Any]:
        """Return the elements at a place. For the processor's own thread alone."""
        size = place.dtype.itemsize
        if 0 in place.shape:
            return np.empty(place.shape, place.dtype)
        strides = [step * size for step in place.strides]
        memory = self._memory[place.block]
        return np.ndarray(place.shape, place.dtype, memory, place.offset * size, strides)

    def ask(self, question: Callable[[], Any]) -> Any:
        """Run a function at the end of the queue, wait, and return its answer."""
        done = threading.Event()
        answer: list[Any] = []

        def work() -> None:
            try:
                answer.append(question())
            finally:
                done.set()

        self.submit(work)
        done.wait()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return answer[0]

    def synchronize(self) -> None:
        """Wait until all work is done, and raise what went wrong with it."""
        self.ask(lambda: None)


class Block:
    """What Neurenix holds in its hands: the number of a block, which is freed with it."""

    __slots__ = ("__weakref__", "number", "processor")

    def __init__(self, processor: Processor, number: int) -> None:
        self.processor, self.number = processor, number

    def __del__(self) -> None:
        self.processor.release(self.number)


class Place(NamedTuple):
    """Elements in a block: all that the processor knows of a tensor. Strides count elements."""

    block: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
