"""Graphs as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neurenix.graph.graph import Graph, Node, Storage, Value

_ALIGNED = 64  # columns after which the types stand


def render(graph: Graph) -> str:
    """Return a graph as text, a line a node."""
    inputs = [f"{value.name}: {value}" for value in graph.inputs]
    inputs += [f"{key.value.name}: a random key" for key in graph.keys]
    written = {storage for node in graph.nodes for storage in node.written}
    lines = [f"graph {graph.name}({', '.join(inputs)}) on {graph.device}:"]
    if graph.prelude:
        lines.append("  when a captured tensor has changed:")
        lines += [f"    {_line(node, written)}" for node in graph.prelude]
        lines.append("  at every run:")
        lines += [f"    {_line(node, written)}" for node in graph.nodes]
    else:
        lines += [f"  {_line(node, written)}" for node in graph.nodes]
    lines.append(f"  return {_names(graph.outputs)}")
    return "\n".join(lines)


def _line(node: Node, written: set[Storage]) -> str:
    arguments = [_shown(value, written) for value in node.inputs]
    arguments += [f"{name}={_attribute(value)}" for name, value in node.attrs.items()]
    call = f"{_names(node.outputs)} = {node.op.name}({', '.join(arguments)})"
    donors = [node.inputs[i] for i in node.op.donates.values()]
    replaced = _names(donor for donor in donors if donor is not None)
    note = f"  # {', '.join(map(str, node.outputs))}"
    return call.ljust(_ALIGNED) + note + (f", in place of {replaced}" if replaced else "")


def _names(values: Iterable[Value]) -> str:
    return ", ".join(value.name for value in values)


def _shown(value: Value | None, written: set[Storage]) -> str:
    if value is None:
        return "None"
    # A number that the code wrote is a tensor of no axes; one that is written is state.
    if value.tensor is None or value.ndim or value.storage in written:
        return value.name
    return repr(value.tensor.item()) if value.name.startswith("constant") else value.name


def _attribute(value: Any) -> str:
    return str(value) if hasattr(value, "itemsize") else repr(value)
