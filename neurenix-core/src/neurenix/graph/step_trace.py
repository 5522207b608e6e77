"""Traces of whole calls: what a function returns, and the gradients that it leaves behind.

``grad`` of a leaf is a place outside of the graph that a function reads and sets. In the trace
every leaf has a gradient that is an input of the graph, and those that the function leaves are
results. Where no input of this kind is read, as in a step that begins with ``zero_grad()``, the
graph is the same whatever the gradients were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from neurenix.errors import TraceError
from neurenix.graph.structure import Structure, flatten, tuple_of
from neurenix.graph.trace import trace_function
from neurenix.ops.op import TensorMeta
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from neurenix.graph.graph import Graph


@dataclass(frozen=True)
class TracedCall:
    """A graph of a call, and what a run does with gradients.

    Attributes:
        graph: The graph. Its inputs are the call's tensors and the gradients of ``given``; its
            results are what the function returns and the gradients of ``filled``.
        structure: How what the function returns is nested.
        given: Leaves whose gradient at the start is read.
        filled: Leaves that get a gradient.
        cleared: Leaves that have none afterwards.
        absent: Whether each leaf had no gradient at the start, where the graph depends on that.
        strangers: Leaves that the trace met, but that were not known before.
    """

    graph: Graph
    structure: Structure
    given: tuple[Tensor, ...]
    filled: tuple[Tensor, ...]
    cleared: tuple[Tensor, ...]
    absent: tuple[tuple[Tensor, bool], ...]
    strangers: tuple[Tensor, ...]


def trace_step(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    leaves: Sequence[Tensor],
    names: Mapping[str, Tensor],
) -> TracedCall:
    """Trace a call of a function, backward passes and updates included.

    Args:
        function: The function.
        args: Its arguments; tensors may be given as `TensorMeta`.
        kwargs: Those with keywords.
        leaves: Tensors whose gradient the function may read or set.
        names: Names of tensors from outside.

    Raises:
        TraceError: As for `neurenix.graph.trace`; or a result is on the tape, which a plan does
            not leave.
    """
    known = list(leaves)
    strangers: list[Tensor] = []
    while True:
        call = _attempt(function, args, kwargs, known, names, everywhere=True)
        fresh = _unknown_leaves(call.graph, known)
        if not fresh:
            break
        known += fresh
        strangers += fresh
    if call.given:
        if any(leaf.grad is None for leaf in call.given):
            call = _attempt(function, args, kwargs, known, names, everywhere=False)
        call = replace(call, absent=tuple((leaf, leaf.grad is None) for leaf in known))
    return replace(call, strangers=tuple(strangers))


def _attempt(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    leaves: Sequence[Tensor],
    names: Mapping[str, Tensor],
    *,
    everywhere: bool,
) -> TracedCall:
    """Trace with a gradient at every leaf, or with those that are there."""
    before = [leaf.grad for leaf in leaves]
    holders = [leaf for leaf in leaves if everywhere or leaf.grad is not None]
    filled: list[Tensor] = []
    cleared: list[Tensor] = []

    def run(args: tuple[Any, ...], kwargs: dict[str, Any], grads: list[Tensor]) -> Any:
        for leaf in leaves:
            leaf.grad = None
        for leaf, grad in zip(holders, grads, strict=True):
            leaf.grad = grad
        result = function(*args, **kwargs)
        _check_tape(result)
        untouched = {id(leaf): grad for leaf, grad in zip(holders, grads, strict=True)}
        left = []
        for leaf in leaves:
            found = leaf.grad
            if found is None:
                cleared.append(leaf)
            elif untouched.get(id(leaf)) is not found:
                filled.append(leaf)
                left.append(found)
        return result, left

    metas = [TensorMeta(leaf.shape, leaf.dtype) for leaf in holders]
    device = leaves[0].device if leaves else None
    try:
        graph = trace_function(
            run, args, dict(kwargs), metas, names=names, device=device, allow_random=True
        )
    finally:
        for leaf, grad in zip(leaves, before, strict=True):
            leaf.grad = grad
    count = len(graph.inputs) - len(holders)
    read = {value for node in graph.nodes for value in node.operands} | {*graph.outputs}
    pairs = zip(holders, graph.inputs[count:], strict=True)
    given = [(leaf, value) for leaf, value in pairs if value in read]
    inputs = (*graph.inputs[:count], *(value for _, value in given))
    graph = replace(
        graph, name=_name(function), inputs=inputs, input_structure=tuple_of(len(inputs))
    )
    structure = graph.output_structure.children[0]
    graph = replace(graph, output_structure=tuple_of(len(graph.outputs)))
    return TracedCall(
        graph,
        structure,
        tuple(leaf for leaf, _ in given),
        tuple(filled),
        tuple(cleared),
        (),
        (),
    )


def _unknown_leaves(graph: Graph, known: Sequence[Tensor]) -> list[Tensor]:
    ids = {id(leaf) for leaf in known}
    met = (value.tensor for value in graph.captured)
    found = {
        id(tensor): tensor
        for tensor in met
        if tensor is not None and tensor.requires_grad and tensor.is_leaf and id(tensor) not in ids
    }
    return list(found.values())


def _check_tape(result: Any) -> None:
    """Check that nobody can want to run backward from a result."""
    for tensor in flatten(result, (Tensor,), "the results of a traced function")[0]:
        if tensor._node is not None and tensor._node.saved is not None:
            raise TraceError(
                f"a result of shape {tensor.shape} requires a gradient, and a plan leaves no tape: "
                "call backward() inside of the function, or detach() the result, or run it under "
                "no_grad()"
            )


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
