"""Fusion of neighbouring ops into one, where the device has a kernel for it.

* conv2d, with what is added to its result and the relu after it: ``conv2d_fused``.
* max_pool2d whose places nobody reads: ``max_pool2d_values``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from neurenix.graph.kernels import find_kernel
from neurenix.graph.rewrite import rewrite
from neurenix.ops.fused import conv2d_fused, max_pool2d_values

if TYPE_CHECKING:
    from collections import Counter

    from neurenix.graph.graph import Graph, Node, Value
    from neurenix.graph.rewrite import Inputs, Rewriter
    from neurenix.tensor import Tensor


class _Chain(NamedTuple):
    """A convolution and what follows it; the last node's output is the fused result."""

    conv: Node
    residual: Value | None
    activation: str
    last: Node


def fuse(graph: Graph) -> Graph:
    """Return the graph with fused ops; the nodes that they replace are dead code then."""
    chains = {chain.last: chain for chain in _chains(graph)}
    counts = graph.use_counts()

    def replace(node: Node, inputs: Inputs, rewriter: Rewriter) -> tuple[Tensor, ...] | None:
        chain = chains.get(node)
        if chain is not None:
            residual = None if chain.residual is None else rewriter.tensor(chain.residual)
            operands = (*rewriter.operands(chain.conv), residual)
            attrs = {**chain.conv.attrs, "activation": chain.activation}
            return conv2d_fused.all(*operands, **attrs)
        if (
            node.op.name == "max_pool2d"
            and counts[node.outputs[1]] == 0
            and find_kernel(graph.device, max_pool2d_values, node.inputs, node.attrs) is not None
        ):
            values = max_pool2d_values(*inputs, **node.attrs)
            return values, values  # nobody reads the second
        return None

    return rewrite(graph, replace)


def _chains(graph: Graph) -> list[_Chain]:
    counts = graph.use_counts()
    readers = {value: node for node in graph.nodes for value in node.operands}
    position = {node: number for number, node in enumerate(graph.nodes)}
    chains: list[_Chain] = []
    taken: set[Value] = set()
    # From the last convolution on: of two that are added, the later one takes the other's result.
    for conv in reversed(graph.nodes):
        if conv.op.name != "conv2d":
            continue
        last, residual, activation = conv, None, "none"
        reader = _only_reader(last, counts, readers)
        if reader is not None and reader.op.name == "add":
            other = _other_operand(reader, last.outputs[0])
            if other is not None and other not in taken:
                last, residual = reader, other
                reader = _only_reader(last, counts, readers)
        if reader is not None and reader.op.name == "relu":
            last, activation = reader, "relu"
        if (
            last is not conv
            and find_kernel(graph.device, conv2d_fused, (*conv.inputs, residual), {}) is not None
            and not _is_written(graph, conv, position[conv], position[last])
        ):
            taken.add(conv.outputs[0])
            chains.append(_Chain(conv, residual, activation, last))
    return chains


def _only_reader(node: Node, counts: Counter[Value], readers: dict[Value, Node]) -> Node | None:
    out = node.outputs[0]
    return readers.get(out) if counts[out] == 1 else None


def _other_operand(node: Node, one: Value) -> Value | None:
    """Return what is added to a value, if it is of the same shape and dtype."""
    x, y = node.inputs
    other = y if x is one else x
    if other is None or other is one or other.shape != one.shape or other.dtype != one.dtype:
        return None
    return other


def _is_written(graph: Graph, conv: Node, first: int, last: int) -> bool:
    """Whether an input of the convolution is written between it and where it would move to."""
    storages = {value.storage for value in conv.operands}
    return any(storage in storages for node in graph.nodes[first:last] for storage in node.written)
