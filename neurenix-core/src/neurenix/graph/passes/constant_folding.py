"""Constant folding: what depends on captured tensors alone is computed once, not in every run.

The values are not frozen into the graph. Folded nodes move to the graph's prelude, which an
executor runs once, and again when a captured tensor that it reads was written: after an
optimizer's step, or after other weights were loaded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from neurenix.graph.graph import Node, Storage, Value
from neurenix.ops import movement
from neurenix.ops.shapes import dense_strides

if TYPE_CHECKING:
    from neurenix.graph.graph import Graph

# A filled tensor costs as much to read as to fill; a large one is not worth keeping.
_KEPT_FILL_BYTES = 1 << 16


def constant_values(graph: Graph) -> set[Value]:
    """Return the values that depend on captured tensors alone, which no run changes."""
    written = {storage for node in graph.nodes for storage in node.written}
    constant = {value for value in graph.captured if value.storage not in written}
    for node in (*graph.prelude, *graph.nodes):
        if _is_foldable(node, written) and all(value in constant for value in node.operands):
            constant.update(node.outputs)
    return constant


def _is_foldable(node: Node, written: set[Storage]) -> bool:
    if any(value.storage in written for value in node.outputs):
        return False
    large = node.op.name == "fill" and node.outputs[0].nbytes > _KEPT_FILL_BYTES
    return not large


def fold_constants(graph: Graph) -> Graph:
    """Return the graph with its constant nodes in the prelude.

    Views of captured tensors move there too; they cost nothing, but the graph is easier to read.
    """
    constant = constant_values(graph)
    graph = _copy_constant_results(graph, constant)
    prelude: list[Node] = []
    nodes: list[Node] = []
    for node in (*graph.prelude, *graph.nodes):
        folded = all(value in constant for value in node.outputs)
        (prelude if folded else nodes).append(node)
    return replace(graph, prelude=tuple(prelude), nodes=tuple(nodes))


def _copy_constant_results(graph: Graph, constant: set[Value]) -> Graph:
    """Let a result that is constant be copied in each run, since its caller may write to it."""
    captured = {value.storage for value in graph.captured}
    nodes, outputs = list(graph.nodes), list(graph.outputs)
    for number, value in enumerate(outputs):
        if value in constant and value.storage not in captured:
            strides, name = dense_strides(value.shape), f"{value.name}.copy{number}"
            copy = Value(value.shape, value.dtype, strides, 0, Storage(value.device), name)
            nodes.append(Node(movement.copy, (value,), {}, (copy,)))
            outputs[number] = copy
    return replace(graph, nodes=tuple(nodes), outputs=tuple(outputs))
