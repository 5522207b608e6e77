"""Graphs as plans: their kernels are recorded once, and a run repeats what they recorded.

A run has no kernel calls and prepares no bind groups, as long as it sees the memory of an earlier
one. Captured tensors are read and written where they are; results are new memory in each run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import is_
from typing import TYPE_CHECKING, Any

from neurenix.errors import NeurenixError, PlanError
from neurenix.graph import Constants, Graph, Node, Plan, Storage, Value, check_inputs
from neurenix.graph.constants import check_captured
from neurenix.graph.kernels import find_kernel
from neurenix.graph.passes import (
    fold_constants,
    fuse,
    lower,
    make_dense,
    plan_memory,
    remove_dead_code,
)
from neurenix.ops import dispatch, tape
from neurenix.ops.movement import assign
from neurenix_backend_webgpu import _native
from neurenix_backend_webgpu.chains import describe, fuse_chains

if TYPE_CHECKING:
    from neurenix import Tensor
    from neurenix.dtypes import DType
    from neurenix.ops.op import Shape


def compile_graph(graph: Graph, device: _native.Device) -> Executable:
    """Return what runs a graph.

    Args:
        graph: An optimized graph.
        device: Where it runs.

    Raises:
        PlanError: One of its ops has no kernel, or none that can be repeated.
    """
    return Executable(graph, device)


@dataclass(slots=True)
class _Operand:
    """A tensor as the kernels take one."""

    buffer: _native.Buffer
    dtype: DType
    shape: Shape
    _strides: Shape | None
    offset: int


class Executable:
    """A graph whose work has been recorded; see `neurenix.graph.Executable`.

    Several threads may run it at once: the device carries out one run after the other.

    Args:
        graph: An optimized graph.
        device: Where it runs.

    Attributes:
        graph: What is carried out, of ops that have kernels.

    Raises:
        PlanError: One of its ops has no kernel, or none that can be repeated.
    """

    def __init__(self, graph: Graph, device: _native.Device) -> None:
        self._before = graph
        self.graph = graph = _lowered(graph, device)
        self._memory = plan_memory(graph)
        self._constants = Constants(graph)
        self._constants.refresh()
        self._places = _Places(graph, self._constants)
        self._written = [
            number
            for number, value in enumerate(self._places.values)
            if any(value.storage in node.written for node in graph.nodes)
        ]
        self._captured = [_real(value) for value in self._places.captured]
        self._bound = [tensor.buffer for tensor in self._captured]
        self._returns_input = not {value.storage for value in graph.outputs}.isdisjoint(
            value.storage for value in graph.inputs
        )
        self._results = _Results(graph, self._places)
        self._lock = threading.Lock()
        self._plain: Plan | None = None
        self._recording = self._record(device)

    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run the graph on its inputs in a row, and return the results in a row.

        Raises:
            ShapeError: An input has another shape, or there are more or fewer.
            DTypeError: An input has another dtype.
            DeviceError: An input is on another device.
            TraceError: A trace is running.
            GraphError: A captured tensor is not what it was when the graph was traced.
        """
        graph, places = self.graph, self._places
        check_inputs(graph, inputs)
        self._check_captured()
        if self._needs_plain_plan(inputs):
            return self._plain_plan().run(inputs)
        self._constants.refresh()
        constants = self._constants.values
        given = [*map(_whole, inputs), *[k.generator.next_key(graph.device) for k in graph.keys]]
        fresh = [dispatch.allocate(v.shape, v.dtype, v.device) for v in places.fresh]
        buffers = [tensor.buffer for tensor in given]
        buffers += [constants[value].buffer for value in places.folded]
        buffers += [tensor.buffer for tensor in self._captured]
        buffers += [tensor.buffer for tensor in fresh]
        self._recording.run(buffers)
        self._note_writes(inputs, given)
        return self._results.of(given, fresh)

    def describe(self) -> str:
        """Return what the plan does, a line a kernel."""
        return "\n".join(describe(node) for node in self.graph.nodes if not node.op.view)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that a run takes besides its results."""
        return self._memory.nbytes + self._recording.reserved_bytes

    def __repr__(self) -> str:
        return (
            f"<recorded plan of {self.graph.name}: {self._recording.dispatches} dispatches, "
            f"{self.nbytes / 2**20:.1f} MiB>"
        )

    # Recording ----------------------------------------------------------------------------------

    def _record(self, device: _native.Device) -> _native.Recording:
        graph, places = self.graph, self._places
        placeholders = [
            *[device.allocate(value.shape, value.dtype) for value in places.given],
            *[device.allocate(self._constants.values[v].shape, v.dtype) for v in places.folded],
            *self._bound,
            *[device.allocate(value.shape, value.dtype) for value in places.fresh],
        ]
        slots = [device.allocate(slot.shape, slot.dtype) for slot in self._memory.slots]
        memory = dict(zip((value.storage for value in places.values), placeholders, strict=True))
        memory.update((storage, slots[n]) for storage, n in self._memory.slot_of.items())
        calls = [_call(graph, node, memory) for node in graph.nodes if not node.op.view]
        device.begin_recording()
        try:
            for call in calls:
                call()
            return device.end_recording(placeholders, slots)
        except ValueError as error:
            raise PlanError(str(error)) from None
        finally:
            _native.abandon_recording()

    # Runs ---------------------------------------------------------------------------------------

    def _check_captured(self) -> None:
        buffers = [tensor.buffer for tensor in self._captured]
        if not all(map(is_, buffers, self._bound)):
            for value in self._places.captured:
                check_captured(value)
            self._bound = buffers

    def _needs_plain_plan(self, inputs: Sequence[Tensor]) -> bool:
        """Whether a recording cannot stand for a run: the memory of its tensors is shared."""
        if self._returns_input and any(tensor._strides is not None for tensor in inputs):
            return True
        if not self._written:
            return False
        buffers = [id(tensor.buffer) for tensor in (*inputs, *self._captured)]
        return len(set(buffers)) < len(buffers)

    def _plain_plan(self) -> Plan:
        """Return core's plan, made at the first call: it calls the kernels in each run."""
        with self._lock:
            if self._plain is None:
                self._plain = Plan(self._before)
            return self._plain

    def _note_writes(self, inputs: Sequence[Tensor], given: Sequence[Tensor]) -> None:
        first = len(self._places.given) + len(self._places.folded)
        for number in self._written:
            if number < len(inputs):
                dispatch.written(inputs[number])
                if inputs[number] is not given[number]:
                    dispatch.copy_into(inputs[number], given[number])
            elif first <= number < first + len(self._captured):
                dispatch.written(self._captured[number - first])


def _lowered(graph: Graph, device: _native.Device) -> Graph:
    """Return the graph of ops that the device has kernels for, elementwise ones in chains."""
    graph = remove_dead_code(fuse(graph))
    graph = fold_constants(remove_dead_code(make_dense(lower(graph))))
    for node in graph.nodes:
        known = node.op.view or node.op is assign
        if not known and find_kernel(graph.device, node.op, node.inputs, node.attrs) is None:
            raise PlanError(f"there is no kernel for {node.op.name!r} of its inputs' dtypes")
    return fuse_chains(graph, device.storage_buffers)


class _Places:
    """The memory of a graph that its runs are given, each by its first value.

    Attributes:
        given: Inputs and random keys.
        folded: What is computed from captured tensors alone.
        captured: Tensors that the traced code met.
        fresh: Results.
        values: All of them, in this order.
    """

    def __init__(self, graph: Graph, constants: Constants) -> None:
        self.given = [*graph.inputs, *(key.value for key in graph.keys)]
        used = {v.storage for node in graph.nodes for v in (*node.operands, *node.outputs)}
        self.folded = [
            value
            for value in _one_a_storage(constants.wanted)
            if value.storage in used and value.storage not in graph.external
        ]
        self.captured = [v for v in _one_a_storage(graph.captured) if v.storage in used]
        results = {value.storage for value in graph.outputs} - graph.external
        self.fresh = [
            value
            for value in _one_a_storage(v for node in graph.nodes for v in node.outputs)
            if value.storage in results
        ]
        self.values = [*self.given, *self.folded, *self.captured, *self.fresh]


def _one_a_storage(values: Iterable[Value]) -> list[Value]:
    """Return the first value of each storage."""
    first: dict[Storage, Value] = {}
    for value in values:
        first.setdefault(value.storage, value)
    return list(first.values())


def _call(graph: Graph, node: Node, memory: dict[Storage, _native.Buffer]) -> Callable[[], object]:
    """Return what carries out a node on this memory."""

    def operand(value: Value) -> _Operand:
        buffer = memory[value.storage]
        return _Operand(buffer, value.dtype, value.shape, value.strides, value.offset)

    kernel = find_kernel(graph.device, node.op, node.inputs, node.attrs)
    if kernel is None:
        target, source = node.inputs
        if target is None or source is None:
            raise PlanError(f"{node!r} writes nothing")
        copy: Callable[..., None] = graph.device.kernels.native["copy"].function
        return partial(copy, _box(node, operand(target), source), operand(source))
    inputs = [None if value is None else operand(value) for value in node.inputs]
    outputs = tuple(map(operand, node.outputs))
    out = outputs[0] if len(node.op.outputs) == 1 else outputs
    return partial(kernel.function, out, *inputs, **node.attrs)


def _box(node: Node, target: _Operand, source: Value) -> _Operand:
    """Return the part of a tensor that an assignment writes."""
    starts, steps, strides = node.attrs["starts"], node.attrs["steps"], target._strides
    if strides is None:
        raise PlanError(f"{node!r} writes to what has no strides")
    offset = target.offset
    if source.size:
        offset += sum(a * b for a, b in zip(starts, strides, strict=True))
    inner = tuple(a * b for a, b in zip(steps, strides, strict=True))
    return _Operand(target.buffer, source.dtype, source.shape, inner, offset)


def _whole(tensor: Tensor) -> Tensor:
    """Return the tensor if it is the whole of its buffer, else a copy that is."""
    if tensor._strides is None:
        return tensor
    out = dispatch.allocate(tensor.shape, tensor.dtype, tensor.device)
    dispatch.copy_into(out, tensor)
    return out


class _Results:
    """How results are made of the memory of a run."""

    def __init__(self, graph: Graph, places: _Places) -> None:
        given = [value.storage for value in places.given]
        fresh = [value.storage for value in places.fresh]
        held = {value.storage: _real(value) for value in reversed(graph.captured)}
        exact = {(v.storage, v.layout): _real(v) for v in reversed(graph.captured)}
        self._sources: list[tuple[Value, int | None, Tensor | None]] = []
        for value in graph.outputs:
            storage = value.storage
            if storage in fresh:
                self._sources.append((value, len(given) + fresh.index(storage), None))
            elif storage in given:
                self._sources.append((value, given.index(storage), None))
            elif storage in held:
                owner = exact.get((storage, value.layout), held[storage])
                self._sources.append((value, None, owner))
            else:
                raise PlanError(f"the result {value.name} does not depend on the inputs")

    def of(self, given: Sequence[Tensor], fresh: Sequence[Tensor]) -> list[Tensor]:
        """Return the results in a row."""
        owners = [*given, *fresh]
        results = []
        for value, number, held in self._sources:
            if number is not None:
                whole = owners[number]
                is_it = value.layout == (whole.shape, whole.strides, 0)
            elif held is not None:
                whole = held
                is_it = value.layout == (whole.shape, whole.strides, whole.offset)
            results.append(whole if is_it else _view(value, whole))
        return results


def _view(value: Value, owner: Tensor) -> Tensor:
    """Return a value that lies in the memory of a tensor."""
    view = dispatch.make(
        owner.buffer, value.dtype, value.shape, value.device, value.strides, value.offset
    )
    view._version = tape.version_of(owner)
    return view


def _real(value: Value) -> Any:
    if value.tensor is None:
        raise NeurenixError(f"{value.name} is no captured tensor")
    return value.tensor
