"""Copies of views for kernels that read dense inputs only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix.graph.kernels import find_kernel
from neurenix.graph.rewrite import keep, rewrite
from neurenix.ops import movement

if TYPE_CHECKING:
    from neurenix.graph.graph import Graph, Node, Value
    from neurenix.graph.rewrite import Inputs, Rewriter
    from neurenix.tensor import Tensor


def make_dense(graph: Graph) -> Graph:
    """Return the graph with a copy before each kernel that does not read strides.

    Several readers of one view share the copy. What a node writes in place is not copied.
    """
    copies: dict[Value, Tensor] = {}

    def replace(node: Node, inputs: Inputs, rewriter: Rewriter) -> tuple[Tensor, ...] | None:
        if node.op.view:
            return None
        kernel = find_kernel(graph.device, node.op, node.inputs, node.attrs)
        if kernel is None or kernel.strided:
            return None
        donated = set(node.op.donates.values())
        dense = list(inputs)
        for index, (value, tensor) in enumerate(zip(node.inputs, inputs, strict=True)):
            if value is None or tensor is None or index in donated or tensor.is_contiguous():
                continue
            if value not in copies:
                copies[value] = movement.copy(tensor)
            dense[index] = copies[value]
        changed = any(a is not b for a, b in zip(dense, inputs, strict=True))
        return keep(node, tuple(dense), rewriter.recorder) if changed else None

    return rewrite(graph, replace)
