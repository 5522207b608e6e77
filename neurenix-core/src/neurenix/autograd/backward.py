"""Walking the tape backwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from neurenix.errors import AutogradError
from neurenix.ops.creation import ones_like
from neurenix.ops.mode import mode
from neurenix.ops.shapes import sum_to
from neurenix.ops.tape import Edge, Hook, Node

if TYPE_CHECKING:
    from neurenix.ops.op import Rule
    from neurenix.tensor import Tensor

Key: TypeAlias = tuple[int, int]  # (id of a node or a leaf, output index)


def backward(tensor: Tensor, grad: Tensor | None = None, retain_graph: bool = False) -> None:
    """Add the gradients of a tensor to the ``grad`` of every leaf; see `Tensor.backward`."""
    walk = _Walk([tensor], [grad], targets=None)
    walk.run(retain_graph, create_graph=False)
    for leaf, gradient in walk.leaves():
        gradient = walk.call_hooks(getattr(leaf, "_hooks", None), gradient)
        held = leaf.grad
        leaf.grad = walk.owned(gradient) if held is None else (held + gradient).detach()


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of outputs with respect to inputs, and leave every ``grad`` alone.

    Args:
        outputs: What is differentiated; several are summed.
        inputs: With respect to what; they need not be leaves.
        grad_outputs: The gradient of the final result with respect to each output; an output
            of one element needs none.
        retain_graph: Keep the tape; by default where ``create_graph`` is set.
        create_graph: Tape the gradients too, so that they can be differentiated again.
        allow_unused: Give None for an input on which no output depends, instead of raising.

    Returns:
        A gradient an input, of its shape.

    Raises:
        AutogradError: An output is not on the tape, or an input is unused.
    """
    ends = [outputs] if not isinstance(outputs, Sequence) else list(outputs)
    wanted = [inputs] if not isinstance(inputs, Sequence) else list(inputs)
    if grad_outputs is None:
        seeds: list[Tensor | None] = [None] * len(ends)
    else:
        seeds = list(grad_outputs) if isinstance(grad_outputs, Sequence) else [grad_outputs]
    if len(seeds) != len(ends):
        raise AutogradError(f"{len(ends)} outputs need {len(ends)} grad_outputs, got {len(seeds)}")
    for i, tensor in enumerate(wanted):
        if not tensor.requires_grad:
            raise AutogradError(f"input {i} of grad() does not require a gradient")
    walk = _Walk(ends, seeds, targets=wanted)
    walk.run(create_graph if retain_graph is None else retain_graph, create_graph)
    found = [walk.gradient_of(tensor) for tensor in wanted]
    for i, gradient in enumerate(found):
        if gradient is None and not allow_unused:
            raise AutogradError(
                f"no output depends on input {i} of grad(); pass allow_unused=True to get None"
            )
    return tuple(found)


class _Walk:
    """One pass over the tape, from outputs to leaves, or to the targets alone."""

    def __init__(
        self,
        outputs: Sequence[Tensor],
        seeds: Sequence[Tensor | None],
        targets: Sequence[Tensor] | None,
    ) -> None:
        self.gradients: dict[Key, Tensor] = {}
        self.leaf_by_id: dict[int, Tensor] = {}
        self.kept: dict[Key, Tensor] = {}
        self.shared: set[int] = set()  # ids of buffers that somebody may hold
        self.targets = None if targets is None else {_key(_edge_of(t)) for t in targets}
        roots = []
        for output, seed in zip(outputs, seeds, strict=True):
            if not output.requires_grad:
                raise AutogradError(
                    "this tensor does not require a gradient: none of what it was computed from "
                    "has requires_grad=True, or it was computed under no_grad()"
                )
            edge = _edge_of(output)
            start = _seed(output, seed)
            self.shared.add(id(start.buffer))
            self._add(edge, start)
            if isinstance(edge[0], Node):
                roots.append(edge[0])
        self.nodes = self._reachable(roots)

    def _reachable(self, roots: list[Node]) -> list[Node]:
        """Return the nodes to visit, the latest first: inputs always come after outputs."""
        seen: dict[int, Node] = {}
        stack = roots
        while stack:
            node = stack.pop()
            if id(node) in seen:
                continue
            seen[id(node)] = node
            stack += [e[0] for e in node.edges if e is not None and isinstance(e[0], Node)]
        nodes = sorted(seen.values(), key=lambda node: -node.sequence)
        if self.targets is None:
            return nodes
        leads: set[int] = {key[0] for key in self.targets}
        for node in reversed(nodes):
            if any(e is not None and id(e[0]) in leads for e in node.edges):
                leads.add(id(node))
        self.leads = leads
        return [node for node in nodes if id(node) in leads]

    def _wanted(self, edge: Edge) -> bool:
        return edge is not None and (self.targets is None or id(edge[0]) in self.leads)

    def _add(self, edge: tuple[Node | Tensor, int], gradient: Tensor) -> None:
        key = _key(edge)
        if not isinstance(edge[0], Node):
            self.leaf_by_id[key[0]] = edge[0]
        held = self.gradients.get(key)
        self.gradients[key] = gradient if held is None else held + gradient

    def run(self, retain_graph: bool, create_graph: bool) -> None:
        """Visit every node once."""
        taping = mode.grad
        mode.set(grad=create_graph, tracer=mode.tracer)
        try:
            for node in self.nodes:
                self._visit(node)
                if not retain_graph:
                    node.saved = None
        finally:
            mode.set(grad=taping, tracer=mode.tracer)

    def _visit(self, node: Node) -> None:
        gradient = self.gradients.pop((id(node), 0), None)
        if gradient is None:
            return
        if node.hooks is not None:
            gradient = self.call_hooks(node.hooks.get(0), gradient)
        if self.targets is not None and (id(node), 0) in self.targets:
            self.kept[id(node), 0] = gradient
        for rule in node.rules:
            targets = _targets(node, rule)
            # Without targets every rule of the node is wanted.
            if self.targets is not None and not any(
                self._wanted(node.edges[target]) for target in targets
            ):
                continue
            values = [
                gradient if kind == "grad" else node.value((kind, key))
                for kind, key in rule.parameters
            ]
            results = rule.function(*values)
            if not isinstance(results, (tuple, list)):
                results = (results,)
            for target, result in zip(targets, results, strict=True):
                edge = node.edges[target]
                if edge is not None and result is not None and self._wanted(edge):
                    self._add(edge, _fit(result, node.shapes[target]))

    def leaves(self) -> Iterable[tuple[Tensor, Tensor]]:
        """Return the leaves that were reached, each with its gradient."""
        return [
            (self.leaf_by_id[key[0]], gradient)
            for key, gradient in self.gradients.items()
            if key[0] in self.leaf_by_id
        ]

    def gradient_of(self, tensor: Tensor) -> Tensor | None:
        """Return what a target gathered."""
        key = _key(_edge_of(tensor))
        gradient = self.kept.get(key, self.gradients.get(key))
        if gradient is None or tensor._node is not None:
            return gradient  # the hooks of a node have run when it was visited
        return self.call_hooks(getattr(tensor, "_hooks", None), gradient)

    def call_hooks(self, hooks: list[Hook] | None, gradient: Tensor) -> Tensor:
        """Return the gradient as the hooks leave it."""
        if not hooks:
            return gradient
        for hook in list(hooks):
            self.shared.add(id(gradient.buffer))
            changed = hook(gradient)
            gradient = gradient if changed is None else changed
        self.shared.add(id(gradient.buffer))
        return gradient

    def owned(self, gradient: Tensor) -> Tensor:
        """Return a gradient as dense memory that a leaf alone holds, and so may be written.

        Rules may hand one gradient to several inputs, or a view of what came in.
        """
        if id(gradient.buffer) in self.shared or not gradient.is_contiguous():
            return gradient.detach().clone()
        self.shared.add(id(gradient.buffer))
        return gradient


def _edge_of(tensor: Tensor) -> tuple[Node | Tensor, int]:
    return (tensor, 0) if tensor._node is None else (tensor._node, tensor._output)


def _key(edge: tuple[Node | Tensor, int]) -> Key:
    return id(edge[0]), edge[1]


def _seed(output: Tensor, seed: Tensor | None) -> Tensor:
    if seed is None:
        if output.size != 1:
            raise AutogradError(
                f"backward from a tensor of shape {output.shape} needs the gradient of the final "
                "result with respect to it: reduce it with sum() or mean(), or pass grad="
            )
        return ones_like(output)
    if seed.shape != output.shape:
        raise AutogradError(
            f"the gradient passed in has shape {seed.shape}, but the tensor has {output.shape}"
        )
    return seed.astype(output.dtype)


def _targets(node: Node, rule: Rule) -> Sequence[int]:
    if node.op.variadic and rule.targets[0] == len(node.op.inputs) - 1:
        return range(rule.targets[0], len(node.edges))
    return rule.targets


def _fit(gradient: Tensor, described: Any) -> Tensor:
    """Sum a gradient over what was broadcast, and cast it to the input's dtype."""
    shape, dtype = described
    if gradient.shape != shape:
        gradient = (
            sum_to(gradient, shape)
            if _broadcasts(shape, gradient.shape)
            else (gradient.expand(shape))
        )
    return gradient.astype(dtype)


def _broadcasts(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    lead = len(large) - len(small)
    return lead >= 0 and all(a in (1, b) for a, b in zip(small, large[lead:], strict=True))
