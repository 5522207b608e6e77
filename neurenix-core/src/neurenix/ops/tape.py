"""The tape: what a computation leaves behind for its backward pass.

A node holds edges to the nodes of its inputs, never the inputs themselves, and only those
values that the wanted gradient rules name.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from neurenix.dtypes import is_floating
from neurenix.errors import AutogradError

if TYPE_CHECKING:
    from neurenix.ops.op import Op, Rule
    from neurenix.tensor import Tensor

_sequence = itertools.count()


class Version:
    """How often a buffer was written; shared by all tensors that view the buffer.

    Attributes:
        value: The count.
        lent: Others hold the buffer and may write it unseen; a cache must not trust the count.
        derived: What a backend keeps of the buffer's contents, by keys of its own. It goes with
            the last tensor over the buffer; who looks something up compares the count.
    """

    __slots__ = ("derived", "lent", "value")

    def __init__(self) -> None:
        self.value = 0
        self.lent = False
        self.derived: dict[Any, Any] | None = None


def version_of(tensor: Tensor) -> Version:
    """Return the version of a tensor's buffer, which starts to count at the first question."""
    version = tensor._version
    if version is None:
        version = tensor._version = Version()
    return version


class Saved:
    """A value kept for the backward pass, and the version it had."""

    __slots__ = ("count", "output", "tensor", "version")

    def __init__(self, tensor: Tensor, output: int | None) -> None:
        self.version = version_of(tensor)
        self.count = self.version.value
        self.output = output
        # An output refers to its node and the node would refer to the output: an alias without
        # the node breaks the cycle, so that memory is freed without the cycle collector.
        self.tensor = tensor if output is None else tensor._alias()

    def unpack(self, node: Node) -> Tensor:
        """Return the value as it was, connected to the tape."""
        # A tensor that was moved in place has another buffer, and another version.
        if self.version.value != self.count or self.tensor._version is not self.version:
            raise AutogradError(
                f"a tensor of shape {self.tensor.shape} that {node.op.name!r} needs for its "
                "gradient was changed in place after the op ran. Write to a clone() of it, or "
                "write before it is used"
            )
        if self.output is None:
            return self.tensor
        tensor = self.tensor._alias()
        if node.differentiable(self.output):
            tensor._connect(node, self.output)
        return tensor


Edge: TypeAlias = "tuple[Node | Tensor, int] | None"
Hook: TypeAlias = "Callable[[Tensor], Tensor | None]"


class Node:
    """One op on the tape.

    Attributes:
        op: The op.
        edges: An edge an input: (node, output index), (leaf tensor, 0), or None where no
            gradient is wanted.
        shapes: The inputs' shapes and dtypes, to which gradients are summed and cast.
        rules: The rules that are wanted.
        saved: Values by (kind, index); None once freed.
        attrs: The op's attributes.
        sequence: Nodes are numbered in the order of the tape.
        hooks: Functions to call with the gradient of an output, by output index.
    """

    __slots__ = (
        "attrs",
        "edges",
        "hooks",
        "op",
        "rules",
        "saved",
        "sequence",
        "shapes",
    )

    def __init__(
        self,
        op: Op,
        inputs: tuple[Tensor | None, ...],
        attrs: dict[str, Any],
        outputs: tuple[Tensor, ...],
    ) -> None:
        self.op = op
        self.attrs = attrs
        self.sequence = next(_sequence)
        self.hooks: dict[int, list[Hook]] | None = None
        self.edges: tuple[Edge, ...] = tuple(_edge(x) for x in inputs)
        self.shapes = [None if x is None else (x.shape, x.dtype) for x in inputs]
        self.rules = [rule for rule in op.rules if self._wanted(rule)]
        self.saved: dict[tuple[str, int], Saved | None] | None = {}
        for rule in self.rules:
            for source in rule.parameters:
                if source[0] in ("input", "output") and source not in self.saved:
                    self.saved[source] = self._save(source, inputs, outputs)

    def _wanted(self, rule: Rule) -> bool:
        if self.op.variadic and self.op.inputs.index(self.op.inputs[-1]) in rule.targets:
            return any(edge is not None for edge in self.edges[rule.targets[0] :])
        return any(self.edges[target] is not None for target in rule.targets)

    def _save(
        self,
        source: tuple[str, int],
        inputs: tuple[Tensor | None, ...],
        outputs: tuple[Tensor, ...],
    ) -> Saved | None:
        kind, index = source
        if kind == "output":
            return Saved(outputs[index], index)
        tensor = inputs[index]
        return None if tensor is None else Saved(tensor, None)

    def differentiable(self, output: int) -> bool:
        """Whether a gradient flows through an output: through the first alone."""
        return output == 0

    def value(self, source: tuple[str, Any]) -> Any:
        """Return the value of a rule's parameter."""
        kind, key = source
        if kind == "attr":
            return self.attrs[key]
        if kind == "shape":
            described = self.shapes[key]
            return None if described is None else described[0]
        if kind == "needs":
            return {
                name: edge is not None
                for name, edge in zip(self.op.inputs, self.edges, strict=False)
            }
        if self.saved is None:
            raise AutogradError(
                f"the values that {self.op.name!r} kept for its gradient are freed: backward ran "
                "through this part of the tape before. Pass retain_graph=True to the first "
                "backward, or compute the loss again"
            )
        saved = self.saved[kind, key]
        return None if saved is None else saved.unpack(self)

    def __repr__(self) -> str:
        return f"<{self.op.name} backward>"


def _edge(tensor: Tensor | None) -> Edge:
    if tensor is None or not tensor._requires_grad:
        return None
    return (tensor, 0) if tensor._node is None else (tensor._node, tensor._output)


def record(
    op: Op,
    inputs: tuple[Tensor | None, ...],
    attrs: dict[str, Any],
    outputs: tuple[Tensor, ...],
) -> None:
    """Write an op on the tape; its first output then requires a gradient, unless of integers."""
    if is_floating(outputs[0].dtype):
        outputs[0]._connect(Node(op, inputs, attrs, outputs), 0)
