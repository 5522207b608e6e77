"""The recorder of ops: what `mode.tracer` is while a graph is traced or rewritten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from neurenix.dtypes import int32
from neurenix.errors import TraceError
from neurenix.graph.graph import Node, RandomKey, Storage, Value, as_strided
from neurenix.ops import dispatch, tape
from neurenix.ops.creation import fill
from neurenix.ops.mode import Symbolic, mode
from neurenix.ops.movement import assign
from neurenix.ops.op import ViewMeta
from neurenix.ops.shapes import dense_strides
from neurenix.tensor import Tensor
from neurenix.tensor.tensor import _caller

if TYPE_CHECKING:
    from neurenix.backends.device import Device
    from neurenix.dtypes import DType
    from neurenix.ops.op import Op, Shape
    from neurenix.random import Generator

Place = tuple[int, ViewMeta]  # the id of a real buffer, and the layout of a tensor in it


class _Held:
    """What is known of a storage: the values that may still be read, by their layout."""

    __slots__ = ("latest", "values", "written")

    def __init__(self, first: Value) -> None:
        self.latest = first
        self.values: dict[ViewMeta, Value] = {first.layout: first}
        self.written = False

    def write(self, value: Value) -> None:
        """Forget all values: the storage was written, and ``value`` is what stands there."""
        self.latest, self.written = value, True
        self.values = {value.layout: value}


class Recorder:
    """Records ops on tensors without values; real tensors that it meets are captured.

    Args:
        names: Real tensors by the name that they have in the graph.
        allow_random: Whether random draws become inputs, or raise.

    Attributes:
        nodes: What was recorded so far.
        keys: The random draws so far.
        device: Where the ops run, once there is one.
    """

    def __init__(
        self,
        names: Mapping[str, Tensor],
        *,
        device: Device | None = None,
        allow_random: bool = False,
    ) -> None:
        self.nodes: list[Node] = []
        self.keys: list[RandomKey] = []
        self.device = device
        self._allow_random = allow_random
        self._held: dict[Storage, _Held] = {}
        # Real tensors, and the buffers whose ids are keys, are kept alive by the values.
        self._storages: dict[int, Storage] = {}
        self._names: dict[Place, tuple[str, Tensor]] = {}
        for name, tensor in names.items():
            self._names.setdefault(_place(tensor), (name, tensor))
        self._taken = set(names)
        self._undo = _Undo()
        self._hide_writes = True
        self._count = 0
        self._constants = (f"constant{number}" for number in count())

    @contextmanager
    def recording(self, *, grad: bool, hide_writes: bool = True) -> Iterator[None]:
        """Record the ops of this thread; afterwards modes and real tensors are as before.

        Args:
            grad: Whether the tape is written.
            hide_writes: Whether autograd sees writes, and real tensors that are written have no
                values until the end: the old ones would be wrong to read.
        """
        self._hide_writes = hide_writes
        previous = mode.grad, mode.tracer
        mode.set(grad=grad, tracer=self)
        try:
            yield
        finally:
            mode.set(grad=previous[0], tracer=previous[1])
            self._undo.restore()

    # Tensors and values -------------------------------------------------------------------------

    def input(self, shape: Shape, dtype: DType, device: Device, name: str) -> Tensor:
        """Return a dense tensor without values that stands for an input of the graph."""
        value = Value(shape, dtype, dense_strides(shape), 0, Storage(device), name)
        self._held[value.storage] = _Held(value)
        return self.tensor(value)

    def tensor(self, value: Value) -> Tensor:
        """Return a tensor that stands for a value in code that is recorded."""
        return dispatch.make(
            value.storage, value.dtype, value.shape, value.device, value.strides, value.offset
        )

    def value(self, tensor: Tensor) -> Value:
        """Return the value that a tensor stands for; a real tensor is captured.

        Raises:
            TraceError: The tensor is part of another trace.
        """
        buffer = tensor.buffer
        layout = ViewMeta(tensor.shape, tensor.strides, tensor.offset)
        if isinstance(buffer, Symbolic):
            held = self._held.get(buffer) if isinstance(buffer, Storage) else None
            if held is None:
                raise TraceError(
                    f"a tensor of shape {tensor.shape} is part of another trace: it can only be "
                    f"used inside that one{_caller()}"
                )
        else:
            self._undo.grad(tensor)
            storage = self._storages.get(id(buffer))
            if storage is None:
                return self._capture(tensor, Storage(tensor.device))
            held = self._held[storage]
        value = held.values.get(layout)
        if value is not None:
            return value
        if not held.written and not isinstance(buffer, Symbolic):
            return self._capture(tensor, held.latest.storage)
        attrs = {"shape": layout.shape, "strides": layout.strides, "offset": layout.offset}
        return self._add_view(as_strided, held.latest, layout, attrs)

    def _capture(self, tensor: Tensor, storage: Storage) -> Value:
        found = self._names.get(_place(tensor))
        if found is None:
            name = next(name for name in self._constants if name not in self._taken)
            self._names[_place(tensor)] = found = name, tensor
        name, known = found
        layout = ViewMeta(tensor.shape, tensor.strides, tensor.offset)
        shape, strides, offset = layout
        value = Value(shape, tensor.dtype, strides, offset, storage, name, known)
        held = self._held.get(storage)
        if held is None:
            self._held[storage] = _Held(value)
            self._storages[id(tensor.buffer)] = storage
        else:
            held.values[layout] = value
        return value

    # The protocol `neurenix.ops.mode.Tracer` ----------------------------------------------------

    def record(
        self,
        op: Op,
        inputs: tuple[Tensor | None, ...],
        attrs: dict[str, Any],
        device: Device | None = None,
    ) -> tuple[Tensor, ...]:
        """Add an op to the graph and return its outputs, which have no values."""
        if device is None:
            device = dispatch.common_device(op, inputs)
        if self.device is None:
            self.device = device
        elif self.device is not device:
            raise TraceError(
                f"{op.name!r} runs on {device}, but the trace is on {self.device}: a graph runs on "
                f"one device. Move the inputs and parameters to one device before{_caller()}"
            )
        values = tuple(None if x is None else self.value(x) for x in inputs)
        if op.view:
            return (self._view(op, inputs[0], values[0], attrs),)
        described = op.meta(*inputs, **attrs)
        metas = (described,) if len(op.outputs) == 1 else described
        number = self._number()
        outputs: list[Tensor] = []
        results: list[Value] = []
        for index, (shape, dtype) in enumerate(metas):
            name = number if index == 0 else f"{number}.{op.outputs[index]}"
            place = op.donates.get(index)
            donor, old = (None, None) if place is None else (inputs[place], values[place])
            if donor is None or old is None:
                value = Value(shape, dtype, dense_strides(shape), 0, Storage(device), name)
                self._held[value.storage] = _Held(value)
                outputs.append(self.tensor(value))
            else:
                value = Value(old.shape, old.dtype, old.strides, old.offset, old.storage, name)
                outputs.append(donor)
            results.append(value)
        self.nodes.append(Node(op, values, dict(attrs), tuple(results)))
        for index, place in op.donates.items():
            donor = inputs[place]
            if donor is not None:
                self._held[results[index].storage].write(results[index])
                if self._hide_writes:
                    self._undo.write(donor, results[index].storage)
        return tuple(outputs)

    def _view(
        self, op: Op, source: Tensor | None, value: Value | None, attrs: dict[str, Any]
    ) -> Tensor:
        assert source is not None
        assert value is not None
        layout = ViewMeta(*op.meta(source, **attrs))
        known = self._held[value.storage].values.get(layout)
        view = self.tensor(known or self._add_view(op, value, layout, attrs))
        view._version = tape.version_of(source)
        return view

    def _add_view(self, op: Op, source: Value, layout: ViewMeta, attrs: dict[str, Any]) -> Value:
        shape, strides, offset = layout
        value = Value(shape, source.dtype, strides, offset, source.storage, self._number())
        self.nodes.append(Node(op, (source,), dict(attrs), (value,)))
        self._held[source.storage].values[layout] = value
        return value

    def _number(self) -> str:
        self._count += 1
        return f"v{self._count - 1}"

    def allocate(self, shape: Shape, dtype: DType, device: Device) -> Tensor:
        """Return a new tensor; zeros, so that a graph never has undefined values."""
        attrs = {"shape": shape, "value": 0, "dtype": dtype}
        return self.record(fill, (), attrs, device)[0]

    def write(self, out: Tensor, source: Tensor) -> None:
        """Record that ``source`` is written into ``out``."""
        attrs = {"starts": (0,) * out.ndim, "steps": (1,) * out.ndim}
        self.record(assign, (out, source), attrs)

    def read(self, tensor: Tensor) -> None:
        """Refuse the values of what is captured: the graph would keep them for ever.

        Raises:
            TraceError: The tensor has a name, or was captured.
        """
        found = self._names.get(_place(tensor))
        if found is not None:
            raise TraceError(
                f"the traced code reads the value of {found[0]}, which another run may find "
                f"changed: a graph has no such value{_caller()}"
            )

    def random_key(self, generator: Generator, device: Device) -> Tensor:
        """Return the key of a random draw as an input of the graph.

        Raises:
            TraceError: Random draws are not allowed.
        """
        if not self._allow_random:
            raise TraceError(
                "a random number was drawn in a trace; a graph of inference has none, since its "
                "results would differ from run to run. Call eval() on the module, or trace with "
                f"allow_random=True, so that every run draws anew{_caller()}"
            )
        key = self.input((3,), int32, device, f"key{len(self.keys)}")
        self.keys.append(RandomKey(self.value(key), generator))
        return key


class _Undo:
    """What a trace changes in real tensors, and how it was before."""

    def __init__(self) -> None:
        self._grads: dict[int, tuple[Tensor, Tensor | None]] = {}
        self._written: dict[int, tuple[Tensor, Any, int]] = {}

    def grad(self, tensor: Tensor) -> None:
        """Remember the gradient of a leaf: backward in the trace gives it one without values."""
        if tensor._requires_grad and id(tensor) not in self._grads:
            self._grads[id(tensor)] = tensor, tensor.grad

    def write(self, tensor: Tensor, storage: Storage) -> None:
        """Note a write: count it, and put the storage in the place of a real buffer."""
        version = tape.version_of(tensor)
        if not isinstance(tensor.buffer, Symbolic):
            self._written[id(tensor)] = tensor, tensor.buffer, version.value
            tensor.buffer = storage
        version.value += 1

    def restore(self) -> None:
        """Give the tensors back what they had."""
        for tensor, grad in self._grads.values():
            if tensor.grad is not grad:
                tensor.grad = grad
        for tensor, buffer, version in self._written.values():
            tensor.buffer = buffer
            tape.version_of(tensor).value = version
        self._grads.clear()
        self._written.clear()


def _place(tensor: Tensor) -> Place:
    return id(tensor.buffer), ViewMeta(tensor.shape, tensor.strides, tensor.offset)
