"""Kernels under watch: guard zones around what they write, and a look at what they only read.

While a `Watch` is on, every kernel of the device writes to memory of the watch's own: an output is
surrounded by guard zones and filled with a value that no result has. Afterwards the watch reads
everything back, by the backend's own `to_host`, and says what the kernel did that it must not do.
The result is then copied to where the caller wants it.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, TypeAlias

import numpy as np

from neurenix.backends import Device, Kernel
from neurenix.backends.kernel_table import KernelTable
from neurenix.dtypes import DType, bool_
from neurenix.ops import dispatch
from neurenix.ops.shapes import dense_strides
from neurenix.tensor import Tensor

Array: TypeAlias = np.ndarray[Any, Any]

_GUARD = 7  # elements on either side; an odd number, so that outputs are aligned to elements only


class KernelFault(AssertionError):
    """A kernel did something that no kernel may do."""


def poison(dtype: DType, turn: int = 0) -> Array:
    """Return the element that outputs are filled with before a kernel runs.

    Args:
        dtype: Its dtype.
        turn: Bools have no value that cannot be a result: they are filled with True, then False.
    """
    patterns = {"float64": 0x7FFA5A5A5A5A5A5A, "float32": 0x7FFA5A5A}
    patterns |= {"float16": 0x7F5A, "bfloat16": 0x7FDA}
    if dtype == bool_:
        return np.array([turn == 0])
    pattern = patterns.get(dtype.name, 0xA5A5A5A5A5A5A5A5 & (256**dtype.itemsize - 1))
    return np.array([pattern], f"u{dtype.itemsize}").view(dtype)


class Watch:
    """Watches the kernels of a device, as a context manager.

    Args:
        device: An open device.

    Attributes:
        ran: The names of the kernels that ran, in order.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.ran: list[str] = []

    def __enter__(self) -> Watch:
        self._unwatched = self.device.kernels
        self.device.kernels = _WatchedTable(self._unwatched, self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.device.kernels = self._unwatched

    def watched(self, name: str, kernel: Kernel) -> Kernel:
        """Return a kernel that does the same under watch."""
        copy = self._unwatched.native["copy"].function

        def run(out: Tensor | tuple[Tensor, ...], *inputs: Tensor | None, **attrs: Any) -> None:
            self.ran.append(name)
            outputs = out if isinstance(out, tuple) else (out,)
            donors = [any(o is x for x in inputs) for o in outputs]
            seen = [None if x is None else _bytes(x) for x in inputs]
            turns = 2 if any(o.dtype == bool_ for o in outputs) else 1
            results: list[list[bytes]] = []
            for turn in range(turns):
                guarded = [_Guarded(o, d, turn) for o, d in zip(outputs, donors, strict=True)]
                twin = {id(o): g.tensor for o, g in zip(outputs, guarded, strict=True)}
                given = [twin.get(id(x), x) for x in inputs]
                targets = tuple(g.tensor for g in guarded)
                kernel.function(targets if isinstance(out, tuple) else targets[0], *given, **attrs)
                results.append([g.check(name, i) for i, g in enumerate(guarded)])
            if any(r != results[0] for r in results):
                raise KernelFault(
                    f"the kernel {name!r} leaves elements of a bool output unwritten: they are "
                    "what was in memory before"
                )
            for place, (x, before) in enumerate(zip(inputs, seen, strict=True)):
                if x is not None and id(x) not in twin and _bytes(x) != before:
                    raise KernelFault(f"the kernel {name!r} writes to its input {place}")
            for o, g in zip(outputs, guarded, strict=True):
                copy(o, g.tensor)

        return Kernel(run, kernel.dtypes, kernel.strided, kernel.in_place)


class _WatchedTable(KernelTable):
    """The table of a device with every kernel under watch."""

    __slots__ = ("_table", "_watch")

    def __init__(self, table: KernelTable, watch: Watch) -> None:
        super().__init__({})
        self._table, self._watch = table, watch
        self.native = {name: watch.watched(name, kernel) for name, kernel in table.native.items()}

    def __missing__(self, key: tuple[Any, ...]) -> Kernel | None:
        kernel = self._table[key]
        found = None if kernel is None else self._watch.watched(key[0].name, kernel)
        self[key] = found
        return found


class _Guarded:
    """An output in memory of its own, with guard zones.

    Args:
        target: The output that the caller has allocated, of any strides.
        donated: Whether it is an input too, whose values the kernel has to find there.
        turn: Which poison to fill it with.
    """

    def __init__(self, target: Tensor, donated: bool, turn: int) -> None:
        shape, dtype, device = target.shape, target.dtype, target.device
        strides = target.strides
        if target.is_contiguous():
            strides = dense_strides(shape)
        extent = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        memory = np.repeat(poison(dtype, turn), _GUARD + max(extent, 0) * (0 not in shape) + _GUARD)
        self._is_output = np.zeros(memory.shape, np.bool_)
        if 0 not in shape:
            _view(self._is_output, shape, strides)[...] = True
            if donated:
                _view(memory, shape, strides)[...] = _host(target)
        self._before = memory.copy()
        self._poison = None if donated else poison(dtype, turn).tobytes()
        backend = device.backend
        assert backend is not None
        self._buffer = backend.from_host(memory, device.index)
        self._whole = dispatch.make(self._buffer, dtype, memory.shape, device)
        self.tensor = dispatch.make(self._buffer, dtype, shape, device, strides, _GUARD)

    def check(self, name: str, number: int) -> bytes:
        """Say what a kernel did wrong, or return the bytes of its output."""
        shape, dtype = self._whole.shape, self._whole.dtype
        if self.tensor.buffer is not self._buffer:
            raise KernelFault(
                f"the kernel {name!r} puts another buffer in the place of its output {number}; "
                "it has to write to the one that it is given"
            )
        after = _host(self._whole)
        if after.dtype != dtype or after.shape != shape:
            raise KernelFault(
                f"the output {number} of {name!r} is {dtype} of shape {shape}, but to_host gives "
                f"{after.dtype} of shape {after.shape}"
            )
        outside = ~self._is_output
        changed = _words(after)[outside] != _words(self._before)[outside]
        if changed.any():
            first = int(np.flatnonzero(outside)[int(np.argmax(changed))]) - _GUARD
            raise KernelFault(
                f"the kernel {name!r} writes outside its output {number}: at element {first} from "
                f"its beginning, where the output has {int(self._is_output.sum())} elements"
            )
        written = after[self._is_output]
        if self._poison is not None and dtype.kind not in "iub" and written.size:
            left = _words(written) == np.frombuffer(self._poison, f"u{dtype.itemsize}")[0]
            if left.any():
                raise KernelFault(
                    f"the kernel {name!r} leaves {int(left.sum())} of {written.size} elements of "
                    f"its output {number} unwritten"
                )
        return written.tobytes()


def _view(memory: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    steps = [stride * memory.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(memory[_GUARD:], shape, steps)


def _host(tensor: Tensor) -> Array:
    backend = tensor.device.backend
    assert backend is not None
    return backend.to_host(tensor)


def _words(array: Array) -> Array:
    """The bits of the elements, to compare NaN with NaN."""
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")


def _bytes(tensor: Tensor) -> bytes:
    return _host(tensor).tobytes()
