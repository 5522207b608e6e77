"""The trainable rest of a network, run from its graph with the tape.

The nodes behind the boundary are carried out one by one, as the model's own code would: the same
ops on the same values, so the same bits. Random keys are drawn in the order of the code, which is
the order of the graph; statistics of batches are written where the model keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix.graph import Graph, Node, Value
from neurenix.ops import dispatch, movement
from neurenix.ops.mode import mode
from neurenix.ops.op import OPS
from neurenix_transfer.cache.tracing import Note, Trace, UntraceableError

_RESHAPE = OPS["reshape"]


@dataclass(frozen=True, slots=True)
class _Step:
    node: Node
    note: Note
    done: tuple[Value, ...]  # what nobody reads any more after it


class Replay:
    """Runs the nodes of a trace that lie behind a boundary.

    Args:
        trace: The trace.
        boundary: The values that a run is given, dense.
        outputs: The values that it is to compute, without writing to tensors from outside or
            drawing random numbers; by default the graph's results, with both.

    Raises:
        UntraceableError: The results depend on inputs that are not behind the boundary.
    """

    def __init__(
        self, trace: Trace, boundary: Sequence[Value], outputs: Sequence[Value] | None = None
    ) -> None:
        self.graph = trace.graph
        self.boundary = tuple(boundary)
        self._outputs = tuple(trace.graph.outputs if outputs is None else outputs)
        self._effects = effects = outputs is None
        self.nodes = needed_nodes(self.graph, self.boundary, self._outputs, effects=effects)
        self._steps = self._planned(trace)

    def __call__(self, values: Sequence[Tensor]) -> Any:
        """Return what the model returns, taped where autograd is on."""
        graph = self.graph
        tensors: dict[Value, Tensor] = dict(zip(self.boundary, values, strict=True))
        for key in graph.keys if self._effects else ():
            tensors[key.value] = key.generator.next_key(graph.device)
        taping = mode.grad
        for step in self._steps:
            node, note = step.node, step.note
            inputs = tuple(
                None if value is None else _read(value, tensors, tracked)
                for value, tracked in zip(node.inputs, note.tracked, strict=True)
            )
            if taping and not note.grad:
                with no_grad():
                    outputs = _carry_out(node, inputs)
            else:
                outputs = _carry_out(node, inputs)
            tensors.update(zip(node.outputs, outputs, strict=True))
            for value in step.done:
                del tensors[value]
        found = (_read(value, tensors, True) for value in self._outputs)
        if self._effects:
            return graph.output_structure.rebuild(iter(found))
        return tuple(found)

    def _planned(self, trace: Trace) -> tuple[_Step, ...]:
        kept = {*self._outputs}
        steps: list[_Step] = []
        seen: set[Value] = {*kept}
        for node in reversed(self.nodes):
            mine = (*node.operands, *node.outputs)
            done = tuple(dict.fromkeys(v for v in mine if v.tensor is None and v not in seen))
            seen.update(mine)
            note = trace.notes.get(node) or Note(True, [True] * len(node.inputs))
            steps.append(_Step(node, note, done))
        return tuple(reversed(steps))


def needed_nodes(
    graph: Graph, given: Sequence[Value], wanted: Sequence[Value], *, effects: bool
) -> tuple[Node, ...]:
    """Return the nodes that compute some values from others, in order.

    Raises:
        UntraceableError: They depend on an input that is not given.
    """
    stop = {*given}
    needed = {*wanted} - stop
    external = graph.external
    nodes: list[Node] = []
    for node in reversed((*graph.prelude, *graph.nodes)):
        acts = effects and any(storage in external for storage in node.written)
        if acts or not needed.isdisjoint(node.outputs):
            nodes.append(node)
            needed.update(value for value in node.operands if value not in stop)
    if not needed.isdisjoint(graph.inputs):
        raise UntraceableError("a part of it depends on more of the input than was found")
    return tuple(reversed(nodes))


def _read(value: Value, tensors: dict[Value, Tensor], tracked: bool) -> Tensor:
    tensor = tensors[value] if value.tensor is None else value.tensor
    return tensor if tracked or not tensor.requires_grad else tensor.detach()


def _carry_out(node: Node, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
    if not inputs:
        return (dispatch.create(node.op, node.outputs[0].device, **node.attrs),)
    if node.op is _RESHAPE and inputs[0] is not None:
        # The boundary is dense where the model's own value need not have been.
        return (movement.reshape(inputs[0], node.attrs["shape"]),)
    return dispatch.apply(node.op, inputs, node.attrs)
