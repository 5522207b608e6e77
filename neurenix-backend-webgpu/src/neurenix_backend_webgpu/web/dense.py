"""Copies of views for kernels that do not read strides."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from neurenix.graph.rewrite import Inputs, Rewriter, keep, rewrite
from neurenix.ops import movement

if TYPE_CHECKING:
    from neurenix import Tensor
    from neurenix.graph import Graph, Node


def make_dense(graph: Graph, reads_strides: Callable[[Node], bool]) -> Graph:
    """Return the graph with a copy in front of each op that would read a view with gaps.

    Args:
        graph: The graph.
        reads_strides: Whether the code of a node's op takes any strides.
    """
    copies: dict[int, Tensor] = {}

    def replace(node: Node, inputs: Inputs, rewriter: Rewriter) -> tuple[Tensor, ...] | None:
        if node.op.view or reads_strides(node):
            return None
        dense = list(inputs)
        for index, tensor in enumerate(inputs):
            if tensor is not None and not tensor.is_contiguous():
                found = copies.get(id(tensor))
                dense[index] = copies[id(tensor)] = found or movement.copy(tensor)
        changed = any(a is not b for a, b in zip(dense, inputs, strict=True))
        return keep(node, tuple(dense), rewriter.recorder) if changed else None

    return rewrite(graph, replace)
