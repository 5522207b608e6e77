"""Removal of what no result needs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurenix.graph.graph import Graph, Node, Value


def remove_dead_code(graph: Graph) -> Graph:
    """Return the graph without nodes whose outputs nobody reads.

    A node that writes to a captured tensor or to an input stays: that is an effect.
    """
    external = graph.external
    live: set[Value] = set(graph.outputs)

    def needed(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        kept = []
        for node in reversed(nodes):
            has_effect = any(storage in external for storage in node.written)
            if has_effect or any(value in live for value in node.outputs):
                kept.append(node)
                live.update(node.operands)
        return tuple(reversed(kept))

    nodes = needed(graph.nodes)
    return replace(graph, nodes=nodes, prelude=needed(graph.prelude))
