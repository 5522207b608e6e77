"""Where a network is cut: behind everything that training leaves as it is.

The cut is found on graphs of the whole model, in the mode that it is in. Its frozen side is built
as a graph for single samples (or tiles of a fixed size): two graphs of other batch sizes tell
which numbers in it, such as the sizes of a reshape, count samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neurenix import Tensor
from neurenix.graph import Graph, Node, Value, dependents, frozen_nodes
from neurenix.graph.recorder import Recorder
from neurenix.graph.structure import tuple_of
from neurenix.ops import movement
from neurenix.ops.op import OPS
from neurenix_transfer.cache.replay import needed_nodes
from neurenix_transfer.cache.tracing import Trace, UntraceableError

_RESHAPE = OPS["reshape"]
_SMALLER, _LARGER = 2, 3
"""The batch sizes of the two traces; with one sample, code and views may be of another kind."""


@dataclass(frozen=True)
class Part:
    """One boundary tensor, as a batch has it.

    Attributes:
        axis: The axis that counts samples.
        unit: How far a sample takes it.
        shape: The shape of a single sample's part.
    """

    axis: int
    unit: int
    shape: tuple[int, ...]

    def fits(self, value: Value, size: int) -> bool:
        """Whether a value is this part of a batch of some size."""
        shape = list(self.shape)
        if len(shape) != value.ndim:
            return False
        shape[self.axis] *= size
        return tuple(shape) == value.shape


@dataclass(frozen=True)
class Cut:
    """A cut through a model's graph.

    Attributes:
        trace: The trace of the smaller batch.
        other: That of the larger.
        boundary: The values that the rest reads of the frozen side, in ``trace``.
        twins: The same in ``other``.
        parts: What a batch has of each.
        frozen: The layers that the frozen side ends in.
    """

    trace: Trace
    other: Trace
    boundary: tuple[Value, ...]
    twins: tuple[Value, ...]
    parts: tuple[Part, ...]
    frozen: tuple[str, ...]

    @property
    def sample_bytes(self) -> int:
        """What a sample's part of the boundary takes."""
        return sum(
            int(np.prod(part.shape)) * value.dtype.itemsize
            for part, value in zip(self.parts, self.boundary, strict=True)
        )

    def tile_graph(self, size: int) -> Graph:
        """Return the frozen side for so many samples.

        Raises:
            UntraceableError: Its nodes differ with the batch's size in another way than by
                counting the samples.
        """
        return _instance(self, size)


def find_cut(trace: Trace, other: Trace, changing: Sequence[Tensor]) -> Cut | None:
    """Find the cut, or None where nothing that has weights is frozen.

    Args:
        trace: The model's trace for a batch of two samples.
        other: That for a batch of three.
        changing: The tensors that training changes: trainable parameters, and statistics that
            are written.

    Raises:
        UntraceableError: The cut cannot be carried over to single samples.
    """
    graph = trace.graph
    boundary = boundary_of(trace, changing)
    nodes = needed_nodes(graph, graph.inputs, boundary, effects=False)
    named = {id(v.tensor) for v in _parameters(nodes)}
    if not named:
        return None
    twins = boundary_of(other, changing)
    if len(twins) != len(boundary):
        raise UntraceableError("its frozen part is another one for another size of the batch")
    parts = tuple(_part(a, b) for a, b in zip(boundary, twins, strict=True))
    return Cut(trace, other, boundary, twins, parts, _layers(trace, boundary))


def boundary_of(trace: Trace, changing: Sequence[Tensor]) -> tuple[Value, ...]:
    """Return the boundary of a graph's frozen part.

    Of several views, it is what they are views of. What a layer that trains does before it draws,
    such as Dropout's scaling, is left to the rest: training and validation then share features.
    """
    graph = trace.graph
    part = frozen_nodes(graph, changing)
    written = {storage for node in graph.nodes for storage in node.written}
    roots = {value.storage: value for value in graph.inputs}
    for node in part.nodes:
        if not node.op.view:
            roots.update((value.storage, value) for value in node.outputs)
    found = _without_live(trace, part.boundary)
    views: dict[Any, list[Value]] = {}
    for value in found:
        views.setdefault(value.storage, []).append(value)
    boundary: dict[Value, None] = {}
    for value in found:
        together = views[value.storage]
        root = roots.get(value.storage)
        smaller = root is not None and sum(v.nbytes for v in together) > root.nbytes
        if root is not None and smaller and len(together) > 1 and value.storage not in written:
            boundary[root] = None
        else:
            boundary[value] = None
    return tuple(boundary)


def _without_live(trace: Trace, boundary: Sequence[Value]) -> list[Value]:
    if not trace.live:
        return list(boundary)
    producers = trace.graph.producers()
    per_sample = {*trace.graph.inputs}
    for node in dependents(trace.graph, trace.graph.inputs):
        per_sample.update(node.outputs)
    found: dict[Value, None] = {}
    waiting = list(boundary)
    while waiting:
        value = waiting.pop(0)
        producer = producers.get(value)
        if producer is None or producer not in trace.live:
            found[value] = None
            continue
        operands = producer.operands
        waiting[:0] = [v for v in operands if v.tensor is None and v in per_sample]
    return list(found)


def scaled(smaller: Any, larger: Any, size: int) -> Any:
    """Return what an attribute is for another batch size, from what it is for 2 and for 3.

    Raises:
        UntraceableError: It is no number that counts samples.
    """
    if type(smaller) is not type(larger):
        raise UntraceableError("its frozen part is another one for another size of the batch")
    if isinstance(smaller, tuple | list):
        if len(smaller) != len(larger):
            raise UntraceableError("its frozen part has other axes for another size of the batch")
        return type(smaller)(scaled(a, b, size) for a, b in zip(smaller, larger, strict=True))
    if isinstance(smaller, int) and not isinstance(smaller, bool):
        return smaller + (size - _SMALLER) * (larger - smaller)
    if not (smaller == larger or smaller != smaller):
        raise UntraceableError(f"its frozen part has a number that depends on the batch: {smaller}")
    return smaller


def _part(smaller: Value, larger: Value) -> Part:
    unequal = [
        axis for axis, (a, b) in enumerate(zip(smaller.shape, larger.shape, strict=False)) if a != b
    ]
    if smaller.ndim != larger.ndim or len(unequal) != 1 or smaller.dtype != larger.dtype:
        raise UntraceableError(
            f"a boundary tensor of shape {smaller.shape} has no axis that counts samples alone"
        )
    axis = unequal[0]
    unit = larger.shape[axis] - smaller.shape[axis]
    if smaller.shape[axis] != _SMALLER * unit:
        raise UntraceableError(f"a boundary tensor of shape {smaller.shape} mixes samples")
    shape = list(smaller.shape)
    shape[axis] = unit
    return Part(axis, unit, tuple(shape))


def _instance(cut: Cut, size: int) -> Graph:
    """Record the frozen side anew, for another batch size."""
    graph, other = cut.trace.graph, cut.other.graph
    nodes = needed_nodes(graph, graph.inputs, cut.boundary, effects=False)
    twins = needed_nodes(other, other.inputs, cut.twins, effects=False)
    if [node.op for node in nodes] != [node.op for node in twins]:
        raise UntraceableError("its frozen part is another one for another size of the batch")
    for node, twin in zip(nodes, twins, strict=True):
        _check_same(node, twin)
    names = {v.name: v.tensor for v in graph.captured if v.tensor is not None}
    recorder = Recorder(names, device=graph.device)
    tensors: dict[Value, Tensor] = {}
    inputs = []
    for a, b in zip(graph.inputs, other.inputs, strict=True):
        tensor = recorder.input(scaled(a.shape, b.shape, size), a.dtype, a.device, a.name)
        tensors[a] = tensor
        inputs.append(recorder.value(tensor))
    with recorder.recording(grad=False, hide_writes=False):
        for node, twin in zip(nodes, twins, strict=True):
            outputs = _record(node, twin, size, tensors, recorder)
            tensors.update(zip(node.outputs, outputs, strict=True))
    return replace(
        graph,
        name="the frozen part",
        inputs=tuple(inputs),
        nodes=tuple(recorder.nodes),
        outputs=tuple(recorder.value(tensors[value]) for value in cut.boundary),
        input_structure=tuple_of(len(inputs)),
        output_structure=tuple_of(len(cut.boundary)),
        prelude=(),
        keys=(),
    )


def _record(
    node: Node, twin: Node, size: int, tensors: dict[Value, Tensor], recorder: Recorder
) -> tuple[Tensor, ...]:
    attrs = {name: scaled(value, twin.attrs[name], size) for name, value in node.attrs.items()}
    inputs: list[Tensor | None] = []
    for value in node.inputs:
        if value is None:
            inputs.append(None)
        else:
            inputs.append(tensors[value] if value.tensor is None else value.tensor)
    if node.op is _RESHAPE and inputs[0] is not None:
        return (movement.reshape(inputs[0], attrs["shape"]),)
    return recorder.record(node.op, tuple(inputs), attrs, node.outputs[0].device)


def _check_same(node: Node, twin: Node) -> None:
    """Check that a node reads the same in both traces.

    A number in the code is a tensor of its own in each.
    """
    unlike = UntraceableError("its frozen part is another one for another size of the batch")
    if node.attrs.keys() != twin.attrs.keys() or len(node.inputs) != len(twin.inputs):
        raise unlike
    for value, double in zip(node.inputs, twin.inputs, strict=True):
        if value is None or double is None:
            if value is not double:
                raise unlike
            continue
        tensor, other = value.tensor, double.tensor
        if tensor is None or other is None:
            if tensor is not other:
                raise unlike
        elif tensor.buffer is not other.buffer and (
            (value.shape, value.dtype) != (double.shape, double.dtype)
            or tensor.detach().numpy().tobytes() != other.detach().numpy().tobytes()
        ):
            raise UntraceableError(
                "its frozen part has a value that depends on the size of the batch"
            )


def _parameters(nodes: Sequence[Node]) -> list[Value]:
    """Return the named tensors that nodes read: a number in the code has no name of its own."""
    read = (value for node in nodes for value in node.operands if value.tensor is not None)
    return [value for value in read if not value.name.startswith("constant")]


def _layers(trace: Trace, boundary: Sequence[Value]) -> tuple[str, ...]:
    """Name the layers that gave the boundary."""
    producers = trace.graph.producers()
    names: dict[str, None] = {}
    for value in boundary:
        name = trace.layers.get(value)
        if name is None:
            node = producers.get(value)
            name = "" if node is None else trace.within.get(node, "")
            name = f"within {name}" if name else "the input"
        names[name] = None
    return tuple(names)
