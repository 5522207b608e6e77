"""The memory of one run of a plan at a time, and its kernel calls, prepared once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from neurenix.graph.constants import Constants, check_captured
from neurenix.graph.kernels import find_kernel
from neurenix.ops import dispatch, tape
from neurenix.ops.movement import assign

if TYPE_CHECKING:
    from neurenix.graph.graph import Graph, Node, Storage, Value
    from neurenix.graph.passes.memory import MemoryPlan
    from neurenix.ops.op import Shape
    from neurenix.tensor import Tensor


class _Place(NamedTuple):
    """The tensor of a value, to be given its storage's buffer.

    ``strides`` are those to set where the buffer is the whole storage: None for the whole of it,
    dense, as a kernel reads it fastest.
    """

    tensor: Tensor
    value: Value
    strides: Shape | None


class Arena:
    """Buffers, the tensors that describe them, and the calls that work on them.

    A tensor is made once for each value. Those in slots keep their buffer. The others get one for
    a run: an input's, a new one for a result, a captured tensor's own, a constant's.

    Args:
        graph: The graph, of ops that the device has kernels for.
        memory: Where its storages lie.
        constants: The values of its prelude.
    """

    def __init__(self, graph: Graph, memory: MemoryPlan, constants: Constants) -> None:
        self._graph = graph
        self._constants = constants
        self._generation = -1
        self._whole = _whole_shapes(graph, memory)
        self._tensors: dict[Value, Tensor] = {}
        self._places: dict[Storage, list[_Place]] = {}
        made = (self._call(node) for node in graph.nodes)
        self._calls = [call for call in made if call is not None]

        slots = [graph.device.empty(slot.shape, slot.dtype) for slot in memory.slots]
        for storage, index in memory.slot_of.items():
            _bind(self._places.get(storage, ()), slots[index])
        given = (*graph.inputs, *(key.value for key in graph.keys))
        self._given = [self._places.get(value.storage, []) for value in given]
        self._captured = [
            (value, self._places[value.storage])
            for value in _one_a_storage(graph.captured)
            if value.storage in self._places
        ]
        self._bound: list[object] = [None] * len(self._captured)
        self._folded = [
            (value, self._places[value.storage])
            for value in _one_a_storage(constants.wanted)
            if value.storage in self._places and value.storage not in graph.external
        ]
        results = {value.storage for value in graph.outputs}
        self._fresh = [
            (value, self._places.get(value.storage, []))
            for value in _one_a_storage(v for node in graph.nodes for v in node.outputs)
            if value.storage in results and value.storage not in graph.external
        ]
        captured = graph.captured
        written = {storage for node in graph.nodes for storage in node.written}
        external = _one_a_storage((*captured, *graph.inputs))
        self._written = [value for value in external if value.storage in written]
        # Results in captured memory: the captured tensor itself where it is the whole result.
        self._outside = {v.storage: _real(v) for v in reversed(captured)}
        places = {(v.storage, v.layout): _real(v) for v in reversed(captured)}
        self._returned = {
            v: places[v.storage, v.layout] for v in graph.outputs if (v.storage, v.layout) in places
        }

    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Carry out all calls.

        Args:
            inputs: The graph's inputs, dense, and its random keys.

        Returns:
            The results.
        """
        self._bind_constants()
        owners: dict[Storage, Tensor] = {}
        graph = self._graph
        given = (*graph.inputs, *(key.value for key in graph.keys))
        for value, places, tensor in zip(given, self._given, inputs, strict=True):
            owners[value.storage] = tensor
            if tensor._strides is None:
                _bind(places, tensor.buffer)
            else:
                _bind_within(places, tensor)
        try:
            for value, places in self._fresh:
                result = dispatch.allocate(value.shape, value.dtype, value.device)
                owners[value.storage] = result
                _bind(places, result.buffer)
            for call in self._calls:
                call()
            for value in self._written:
                owner = owners.get(value.storage)
                dispatch.written(_real(value) if owner is None else owner)
            return [self._result(value, owners) for value in graph.outputs]
        finally:
            for places in (*self._given, *(places for _, places in self._fresh)):
                _bind(places, None)

    def _bind_constants(self) -> None:
        generation = self._constants.refresh()
        if generation != self._generation:
            values = self._constants.values
            for value, places in self._folded:
                _bind(places, values[value].buffer)
            self._generation = generation
        for number, (value, places) in enumerate(self._captured):
            buffer = _real(value).buffer
            if buffer is not self._bound[number]:
                check_captured(value)
                _bind(places, buffer)
                self._bound[number] = buffer

    def _result(self, value: Value, owners: dict[Storage, Tensor]) -> Tensor:
        owner = owners.get(value.storage)
        if owner is None:
            owner = self._outside[value.storage]
        elif value.layout == (owner.shape, owner.strides, 0):
            return owner
        exact = self._returned.get(value)
        if exact is not None:
            return exact
        shift = 0 if owner._strides is None else owner.offset
        view = dispatch.make(
            owner.buffer,
            value.dtype,
            value.shape,
            value.device,
            value.strides,
            value.offset + shift,
        )
        view._version = tape.version_of(owner)
        return view

    # Preparation --------------------------------------------------------------------------------

    def _tensor(self, value: Value) -> Tensor:
        tensor = self._tensors.get(value)
        if tensor is None:
            whole = value.shape == self._whole.get(value.storage)
            strides = None if whole and value.is_dense and not value.offset else value.strides
            tensor = dispatch.make(
                None, value.dtype, value.shape, value.device, strides, value.offset
            )
            self._tensors[value] = tensor
            self._places.setdefault(value.storage, []).append(_Place(tensor, value, strides))
        return tensor

    def _call(self, node: Node) -> Callable[[], object] | None:
        """Return what carries out a node, or None for a view, which needs nothing."""
        if node.op.view:
            return None
        inputs = [None if value is None else self._tensor(value) for value in node.inputs]
        outputs = tuple(map(self._tensor, node.outputs))
        kernel = find_kernel(self._graph.device, node.op, node.inputs, node.attrs)
        if kernel is not None:
            out = outputs[0] if len(node.op.outputs) == 1 else outputs
            return partial(kernel.function, out, *inputs, **node.attrs)
        if node.op is assign:
            return self._assignment(node)
        return partial(_run_eagerly, node, outputs, tuple(inputs))

    def _assignment(self, node: Node) -> Callable[[], object]:
        target, value = node.inputs
        assert target is not None
        assert value is not None
        starts, steps = node.attrs["starts"], node.attrs["steps"]
        offset = target.offset
        if value.size:
            offset += sum(a * b for a, b in zip(starts, target.strides, strict=True))
        strides = tuple(a * b for a, b in zip(steps, target.strides, strict=True))
        box = type(target)(value.shape, value.dtype, strides, offset, target.storage, "box")
        return partial(dispatch.copy_into, self._tensor(box), self._tensor(value))


def _real(value: Value) -> Tensor:
    assert value.tensor is not None
    return value.tensor


def _one_a_storage(values: Iterable[Value]) -> list[Value]:
    """Return the first value of each storage."""
    first: dict[Storage, Value] = {}
    for value in values:
        first.setdefault(value.storage, value)
    return list(first.values())


def _whole_shapes(graph: Graph, memory: MemoryPlan) -> dict[Storage, Shape]:
    """Return the shape of each storage's buffer, as far as it is known."""
    shapes: dict[Storage, Shape] = {}
    for node in (*graph.prelude, *graph.nodes):
        for value in node.outputs:
            shapes.setdefault(value.storage, value.shape)
    for storage, index in memory.slot_of.items():
        shapes[storage] = memory.slots[index].shape
    for value in graph.captured:
        shapes.pop(value.storage, None)
    for value in _one_a_storage(graph.captured):
        if _real(value)._strides is None:
            shapes[value.storage] = value.shape
    for value in (*graph.inputs, *(key.value for key in graph.keys)):
        shapes[value.storage] = value.shape
    return shapes


def _bind(places: Iterable[_Place], buffer: Any) -> None:
    """Give tensors a buffer that is a whole storage."""
    for tensor, value, strides in places:
        tensor.buffer, tensor.offset, tensor._strides = buffer, value.offset, strides


def _bind_within(places: Iterable[_Place], owner: Tensor) -> None:
    """Give tensors the buffer of a tensor that is a part of it."""
    for tensor, value, _ in places:
        tensor.buffer, tensor.offset = owner.buffer, value.offset + owner.offset
        tensor._strides = value.strides


def _run_eagerly(
    node: Node, outputs: tuple[Tensor, ...], inputs: tuple[Tensor | None, ...]
) -> None:
    """Run a node that has no kernel: op by op, or on the host."""
    results = dispatch.execute(node.op, inputs, node.attrs, node.outputs[0].device)
    for index, (out, result) in enumerate(zip(outputs, results, strict=True)):
        if index not in node.op.donates:
            dispatch.copy_into(out, result)
