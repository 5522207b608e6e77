"""Graphs from graphs: a graph is recorded anew, and parts of it are recorded differently.

What takes a node's place is written as ordinary code on tensors. Views are derived anew from
what they view, so a replacement may have another layout than what it replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace as replaced
from typing import TypeAlias

from neurenix.graph.graph import Graph, GraphError, Node, Value
from neurenix.graph.recorder import Recorder
from neurenix.ops import movement
from neurenix.ops.op import OPS
from neurenix.tensor import Tensor

Inputs: TypeAlias = tuple[Tensor | None, ...]
Replacement: TypeAlias = "Callable[[Node, Inputs, Rewriter], tuple[Tensor, ...] | None]"


class Rewriter:
    """Records a graph anew.

    Args:
        graph: The graph, which stays as it is.
        recorder: What records; by default one that records everything as it is.

    Attributes:
        tensors: What stands for each value of the old graph in the code that is recorded.
    """

    def __init__(self, graph: Graph, recorder: Recorder | None = None) -> None:
        self.graph = graph
        names = {value.name: value.tensor for value in graph.captured if value.tensor is not None}
        self.recorder = recorder or Recorder(names, device=graph.device)
        self.tensors: dict[Value, Tensor] = {}
        self._written = {storage for node in graph.nodes for storage in node.written}

    def run(self, replace: Replacement | None = None) -> Graph:
        """Record the whole graph.

        Args:
            replace: Called with each node, the tensors that are its inputs and this object. It
                returns tensors to take the place of the node's outputs, or None to keep the node.
        """
        graph = self.graph
        inputs = tuple(map(self.add_input, graph.inputs))
        keys = tuple(replaced(key, value=self.add_input(key.value)) for key in graph.keys)
        self.add((*graph.prelude, *graph.nodes), replace)
        # A result that was written in parts is read through a view, which is one more node.
        outputs = tuple(self.recorder.value(self.tensor(value)) for value in graph.outputs)
        return replaced(
            graph,
            inputs=inputs,
            keys=keys,
            prelude=(),
            nodes=tuple(self.recorder.nodes),
            outputs=outputs,
        )

    def add_input(self, value: Value) -> Value:
        """Make an old value an input of the new graph, and return the new value."""
        tensor = self.recorder.input(value.shape, value.dtype, value.device, value.name)
        self.tensors[value] = tensor
        return self.recorder.value(tensor)

    def add(self, nodes: Iterable[Node], replace: Replacement | None = None) -> None:
        """Record nodes, in order."""
        with self.recorder.recording(grad=False, hide_writes=False):
            for node in nodes:
                inputs = self.operands(node)
                outputs = None if replace is None else replace(node, inputs, self)
                if outputs is None:
                    outputs = keep(node, inputs, self.recorder)
                if not node.op.view and any(v.storage in self._written for v in node.outputs):
                    outputs = self._owned(node, inputs, outputs)
                self.tensors.update(zip(node.outputs, outputs, strict=True))

    def _owned(self, node: Node, inputs: Inputs, outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Give what is written later a storage of its own, laid out as it was."""
        taken = {id(tensor.buffer) for tensor in inputs if tensor is not None}
        owned = list(outputs)
        for number, (value, tensor) in enumerate(zip(node.outputs, outputs, strict=True)):
            if number in node.op.donates:
                continue
            if tensor.strides != value.strides or tensor.offset or id(tensor.buffer) in taken:
                owned[number] = movement.copy(tensor)
        return tuple(owned)

    def tensor(self, value: Value) -> Tensor:
        """Return what stands for an old value."""
        if value.tensor is not None:
            return value.tensor
        tensor = self.tensors.get(value)
        if tensor is None:
            raise GraphError(f"{value!r} is read, but not computed by the part that is recorded")
        return tensor

    def operands(self, node: Node) -> Inputs:
        """Return what stands for the inputs of an old node."""
        return tuple(None if value is None else self.tensor(value) for value in node.inputs)


def keep(node: Node, inputs: Inputs, recorder: Recorder) -> tuple[Tensor, ...]:
    """Record a node as it is, on other inputs."""
    source = inputs[0] if inputs else None
    if node.op is OPS["reshape"] and source is not None:
        # The new source may have strides that need the elements to be moved.
        return (movement.reshape(source, node.attrs["shape"]),)
    return recorder.record(node.op, inputs, node.attrs, node.outputs[0].device)


def rewrite(graph: Graph, replace: Replacement) -> Graph:
    """Return the graph with nodes replaced; see `Rewriter.run`."""
    return Rewriter(graph).run(replace)
