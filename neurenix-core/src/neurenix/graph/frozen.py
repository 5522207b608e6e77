"""What of a graph depends on what: the part that training does not change, and graphs of parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from neurenix.graph.graph import Graph, GraphError, Node, Storage, Value
from neurenix.graph.rewrite import Rewriter
from neurenix.graph.structure import tuple_of
from neurenix.tensor import Tensor

# Statistics of the batch make a sample's result depend on the samples beside it.
_MIXES_SAMPLES = frozenset({"batch_norm_train"})
_RANDOM = frozenset({"random_bits"})


@dataclass(frozen=True)
class FrozenPart:
    """The part of a graph that gives the same for a sample however long training goes on.

    Attributes:
        nodes: Its nodes, in order; those that depend on no input, such as masks, included.
        boundary: Where it ends: the values that depend on an input and are read by the rest, or
            are results. Inputs of the graph are among them where the rest reads them.
    """

    nodes: tuple[Node, ...]
    boundary: tuple[Value, ...]


def dependents(graph: Graph, values: Iterable[Value], nodes: Iterable[Node] = ()) -> set[Node]:
    """Return the nodes that depend on any of some values or nodes, those nodes included.

    A dependency through memory counts: a storage that is written from what depends on the values
    depends on them as a whole, what stood there before included.
    """
    tainted: set[Storage] = {value.storage for value in values}
    found: set[Node] = set(nodes)
    tainted.update(value.storage for node in found for value in node.outputs)
    grew = True
    while grew:  # a late write taints what made its storage, and what read it early
        grew = False
        for node in (*graph.prelude, *graph.nodes):
            touched = (value.storage for value in (*node.operands, *node.outputs))
            if node not in found and not tainted.isdisjoint(touched):
                found.add(node)
                tainted.update(value.storage for value in node.outputs)
                grew = True
    return found


def frozen_nodes(graph: Graph, trainable: Iterable[Tensor] | None = None) -> FrozenPart:
    """Return the part of a graph that depends on nothing that training changes.

    Its nodes depend on no trainable tensor, no random draw, no statistic of the batch, and no
    tensor that the graph itself writes, such as running statistics in training mode.

    Args:
        graph: A graph of a forward pass, such as `trace` gives; with ``allow_random=True`` where
            dropout is active.
        trainable: The tensors that change; by default those captured that require a gradient.
    """
    if trainable is None:
        changing = [v for v in graph.captured if v.tensor is not None and v.tensor.requires_grad]
    else:
        buffers = {id(tensor.buffer) for tensor in trainable}
        changing = [
            v for v in graph.captured if v.tensor is not None and id(v.tensor.buffer) in buffers
        ]
    changing += [key.value for key in graph.keys]
    external = graph.external
    sources = [
        node
        for node in graph.nodes
        if node.op.name in _MIXES_SAMPLES | _RANDOM
        or any(storage in external for storage in node.written)
    ]
    thawed = dependents(graph, changing, sources)
    nodes = tuple(node for node in (*graph.prelude, *graph.nodes) if node not in thawed)
    per_sample = {*graph.inputs}
    for node in dependents(graph, graph.inputs) - thawed:
        per_sample.update(node.outputs)
    read = [value for node in graph.nodes if node in thawed for value in node.operands]
    boundary = dict.fromkeys(v for v in (*read, *graph.outputs) if v in per_sample)
    return FrozenPart(nodes, tuple(boundary))


def subgraph(
    graph: Graph, inputs: Sequence[Value], outputs: Sequence[Value], *, effects: bool = False
) -> Graph:
    """Return the graph that computes some values of a graph from others.

    With `frozen_nodes`, ``subgraph(graph, graph.inputs, part.boundary)`` is the frozen part, and
    ``subgraph(graph, part.boundary, graph.outputs, effects=True)`` the rest of the network.

    Args:
        graph: The graph.
        inputs: What the new graph is given, in order.
        outputs: What it computes, in order; its results are a tuple.
        effects: Whether all writes to tensors from outside belong to it, needed or not.

    Raises:
        GraphError: An output depends on an input of the old graph that is not given.
    """
    given = set(inputs)
    wanted = set(outputs) - given
    nodes: list[Node] = []
    external = graph.external
    for node in reversed((*graph.prelude, *graph.nodes)):
        has_effect = effects and any(storage in external for storage in node.written)
        if has_effect or not wanted.isdisjoint(node.outputs):
            nodes.append(node)
            wanted.update(value for value in node.operands if value not in given)
    missing = [v for v in wanted & {*graph.inputs} if v not in given]
    if missing:
        names = ", ".join(sorted(value.name for value in missing))
        raise GraphError(f"the outputs depend on {names}, which is not among the inputs")
    rewriter = Rewriter(graph)
    new_inputs = tuple(map(rewriter.add_input, inputs))
    needed_keys = [key for key in graph.keys if key.value in wanted]
    keys = tuple(replace(key, value=rewriter.add_input(key.value)) for key in needed_keys)
    rewriter.add(reversed(nodes))
    return replace(
        graph,
        inputs=new_inputs,
        nodes=tuple(rewriter.recorder.nodes),
        outputs=tuple(rewriter.recorder.value(rewriter.tensor(value)) for value in outputs),
        input_structure=tuple_of(len(inputs)),
        output_structure=tuple_of(len(outputs)),
        prelude=(),
        keys=keys,
    )
