"""The rules that every graph keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.graph.graph import GraphError

if TYPE_CHECKING:
    from neurenix.graph.graph import Graph, Node, Storage, Value


def validate(graph: Graph) -> None:
    """Check a graph; see `Graph.validate`."""
    known = {*graph.inputs, *(key.value for key in graph.keys)}
    if len(known) != len(graph.inputs) + len(graph.keys):
        raise GraphError(f"the graph {graph.name} lists an input twice")
    current: dict[Storage, set[Value]] = {}
    for node in (*graph.prelude, *graph.nodes):
        for value in node.operands:
            _check_read(graph, value, known, current, repr(node))
        _check_outputs(node)
        for output, value in enumerate(node.outputs):
            if value in known:
                raise GraphError(f"{value!r} is computed twice, the second time by {node!r}")
            known.add(value)
            if output in node.op.donates:
                current[value.storage] = {value}
            elif value.storage in current:
                current[value.storage].add(value)
    for node in graph.prelude:
        if node.written:
            raise GraphError(f"{node!r} writes in place, so it cannot be part of the prelude")
    for value in graph.outputs:
        _check_read(graph, value, known, current, "the results")


def _check_read(
    graph: Graph,
    value: Value,
    known: set[Value],
    current: dict[Storage, set[Value]],
    reader: str,
) -> None:
    if value.tensor is None and value not in known:
        raise GraphError(f"{reader} of {graph.name} reads {value!r} before it is computed")
    if value.storage in current and value not in current[value.storage]:
        raise GraphError(f"{reader} reads {value!r} after its storage was written in place")
    if value.device is not graph.device:
        raise GraphError(f"{reader} reads {value!r} on {value.device}, not on {graph.device}")


def _check_outputs(node: Node) -> None:
    expected: Any = node.op.meta(*node.inputs, **node.attrs)
    if node.op.view:
        found: Any = tuple(node.outputs[0].layout)
        expected = tuple(expected)
        source = node.inputs[0]
        shares = source is not None and source.storage is node.outputs[0].storage
    else:
        found = [(v.shape, v.dtype) for v in node.outputs]
        metas = (expected,) if len(node.op.outputs) == 1 else expected
        expected = [(shape, dtype) for shape, dtype in metas]
        shares = all(
            (donor := node.inputs[source_index]) is None
            or donor.storage is node.outputs[output].storage
            for output, source_index in node.op.donates.items()
        )
    if found != expected:
        raise GraphError(f"{node!r} has outputs {found}, but its op gives {expected}")
    if not shares:
        raise GraphError(f"{node!r} gives a view or writes in place, but has a storage of its own")
