"""Plans for backends that record the work of a graph once and repeat it.

A run then calls no kernels. What a run is given and what it gives lie in new memory each time, and
captured tensors are read and written where they are: how a recording comes to work on those is the
backend's to say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import is_
from typing import TYPE_CHECKING, Any, Protocol

from neurenix.errors import PlanError
from neurenix.graph.constants import Constants, check_captured
from neurenix.graph.graph import Graph, Node, Storage, Value
from neurenix.graph.kernels import find_kernel
from neurenix.graph.passes import (
    fold_constants,
    fuse,
    lower,
    make_dense,
    plan_memory,
    remove_dead_code,
)
from neurenix.graph.plan import Plan, check_inputs
from neurenix.graph.recorded_results import Results, real
from neurenix.ops import dispatch
from neurenix.ops.movement import assign

if TYPE_CHECKING:
    from neurenix.backends.protocol import Buffer
    from neurenix.dtypes import DType
    from neurenix.ops.op import Shape
    from neurenix.tensor import Tensor


@dataclass(slots=True)
class Operand:
    """A tensor as kernels take one."""

    buffer: Buffer
    dtype: DType
    shape: Shape
    _strides: Shape | None
    offset: int


@dataclass(frozen=True, slots=True)
class KernelCall:
    """One call of a kernel on memory that is known.

    Attributes:
        name: The op's name; ``"copy"`` where it assigns.
        function: The kernel.
        out: Its output, or a tuple of them.
        inputs: Its inputs.
        attrs: Its attributes.
    """

    name: str
    function: Callable[..., None]
    out: Operand | tuple[Operand, ...]
    inputs: tuple[Operand | None, ...]
    attrs: Mapping[str, Any]

    def __call__(self) -> None:
        """Call the kernel."""
        self.function(self.out, *self.inputs, **self.attrs)


@dataclass(frozen=True, slots=True)
class PlanMemory:
    """The buffers that a graph is recorded on.

    Those of `placeholders` but for the captured ones are new, and stand for those of a run.

    Attributes:
        given: Inputs and random keys.
        folded: What is computed from captured tensors alone.
        captured: Tensors that the traced code met: their own.
        fresh: Results.
        slots: What lives only during a run.
        written: The numbers of placeholders, counted in that order, that the graph writes to
            although they were there before.
    """

    given: tuple[Buffer, ...]
    folded: tuple[Buffer, ...]
    captured: tuple[Buffer, ...]
    fresh: tuple[Buffer, ...]
    slots: tuple[Buffer, ...]
    written: frozenset[int]

    @property
    def placeholders(self) -> list[Buffer]:
        """What a run gives buffers for, in this order."""
        return [*self.given, *self.folded, *self.captured, *self.fresh]


class Recording(Protocol):
    """What a backend has recorded.

    Attributes:
        rebinds: Whether `run` takes other captured buffers than those that it was recorded on.
        reserved_bytes: Memory that it holds, besides the plan's.
    """

    @property
    def rebinds(self) -> bool:
        """See above."""
        ...

    @property
    def reserved_bytes(self) -> int:
        """See above."""
        ...

    def run(self, buffers: Sequence[Buffer]) -> None:
        """Repeat the work, as if it had been recorded on these placeholders."""
        ...


Record = Callable[[Sequence[KernelCall], PlanMemory], Recording]


class RecordedPlan:
    """A graph whose work has been recorded; see `neurenix.graph.Executable`.

    Several threads may run it at once: the device carries out one run after the other.

    Args:
        graph: An optimized graph.
        record: Records calls of kernels on a backend. It raises PlanError where it cannot.
        arrange: Gives the nodes an order that suits the backend, of the same meaning.

    Attributes:
        graph: What is carried out, of ops that have kernels.

    Raises:
        PlanError: One of its ops has no kernel, or none that can be repeated.
    """

    def __init__(
        self, graph: Graph, record: Record, arrange: Callable[[Graph], Graph] | None = None
    ) -> None:
        self._before = graph
        self._record = record
        graph = _lowered(graph)
        self.graph = graph = graph if arrange is None else arrange(graph)
        self._memory = plan_memory(graph)
        self._constants = Constants(graph)
        self._constants.refresh()
        self._places = _Places(graph, self._constants)
        written = {storage for node in graph.nodes for storage in node.written}
        values = [*self._places.given, *self._places.folded, *self._places.captured]
        self._written = frozenset(n for n, v in enumerate(values) if v.storage in written)
        self._captured = [real(value) for value in self._places.captured]
        self._bound = [tensor.buffer for tensor in self._captured]
        self._returns_input = not {value.storage for value in graph.outputs}.isdisjoint(
            value.storage for value in graph.inputs
        )
        self._results = Results(graph, self._places.given, self._places.fresh)
        self._lock = threading.Lock()
        self._plain: Plan | None = None
        self._recording = self._made()

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
        recording = self._current()
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
        recording.run(buffers)
        self._note_writes(inputs, given)
        return self._results.of(given, fresh)

    def describe(self) -> str:
        """Return what the plan does, a line a kernel."""
        return "\n".join(repr(node) for node in self.graph.nodes if not node.op.view)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that a run takes besides its results."""
        return self._memory.nbytes + self._recording.reserved_bytes

    def __repr__(self) -> str:
        return (
            f"<recorded plan of {self.graph.name}: {self._recording!r}, "
            f"{self.nbytes / 2**20:.1f} MiB>"
        )

    def _made(self) -> Recording:
        graph, places, constants = self.graph, self._places, self._constants.values
        empty = graph.device.empty
        memory = PlanMemory(
            given=tuple(empty(value.shape, value.dtype) for value in places.given),
            folded=tuple(empty(constants[v].shape, v.dtype) for v in places.folded),
            captured=tuple(self._bound),
            fresh=tuple(empty(value.shape, value.dtype) for value in places.fresh),
            slots=tuple(empty(slot.shape, slot.dtype) for slot in self._memory.slots),
            written=self._written,
        )
        storages = (value.storage for value in places.values)
        buffers = dict(zip(storages, memory.placeholders, strict=True))
        buffers.update((storage, memory.slots[n]) for storage, n in self._memory.slot_of.items())
        calls = [_call(graph, node, buffers) for node in graph.nodes if not node.op.view]
        return self._record(calls, memory)

    def _current(self) -> Recording:
        """Return the recording, made anew where captured tensors have other memory by now."""
        buffers = [tensor.buffer for tensor in self._captured]
        if all(map(is_, buffers, self._bound)):
            return self._recording
        with self._lock:
            for value in self._places.captured:
                check_captured(value)
            self._bound = buffers
            if not self._recording.rebinds:
                self._recording = self._made()
            return self._recording

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


def _lowered(graph: Graph) -> Graph:
    """Return the graph of ops that the device has kernels for."""
    graph = remove_dead_code(fuse(graph))
    graph = fold_constants(remove_dead_code(make_dense(lower(graph))))
    for node in graph.nodes:
        known = node.op.view or node.op is assign
        if not known and find_kernel(graph.device, node.op, node.inputs, node.attrs) is None:
            raise PlanError(f"there is no kernel for {node.op.name!r} of its inputs' dtypes")
    return graph


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


def _call(graph: Graph, node: Node, memory: Mapping[Storage, Buffer]) -> KernelCall:
    """Return what carries out a node on this memory."""

    def operand(value: Value) -> Operand:
        buffer = memory[value.storage]
        return Operand(buffer, value.dtype, value.shape, value.strides, value.offset)

    kernel = find_kernel(graph.device, node.op, node.inputs, node.attrs)
    if kernel is None:
        target, source = node.inputs
        if target is None or source is None:
            raise PlanError(f"{node!r} writes nothing")
        copy = graph.device.kernels.native["copy"].function
        return KernelCall("copy", copy, _box(node, operand(target), source), (operand(source),), {})
    inputs = tuple(None if value is None else operand(value) for value in node.inputs)
    outputs = tuple(map(operand, node.outputs))
    out = outputs[0] if len(node.op.outputs) == 1 else outputs
    return KernelCall(node.op.name, kernel.function, out, inputs, node.attrs)


def _box(node: Node, target: Operand, source: Value) -> Operand:
    """Return the part of a tensor that an assignment writes."""
    starts, steps, strides = node.attrs["starts"], node.attrs["steps"], target._strides
    if strides is None:
        raise PlanError(f"{node!r} writes to what has no strides")
    offset = target.offset
    if source.size:
        offset += sum(a * b for a, b in zip(starts, strides, strict=True))
    inner = tuple(a * b for a, b in zip(steps, strides, strict=True))
    return Operand(target.buffer, source.dtype, source.shape, inner, offset)


def _whole(tensor: Tensor) -> Tensor:
    """Return the tensor if it is the whole of its buffer, else a copy that is."""
    if tensor._strides is None:
        return tensor
    out = dispatch.allocate(tensor.shape, tensor.dtype, tensor.device)
    dispatch.copy_into(out, tensor)
    return out
