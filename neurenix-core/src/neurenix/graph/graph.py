"""A computation as data: values, the nodes that compute them, and the graph that holds both.

Values are in single-assignment form: each is computed once. A view shares the `Storage` of its
source, and so does what an op writes in place: it is a new value over the old one's storage. The
order of the nodes counts: a value may not be read any more once its storage was written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from neurenix.errors import NeurenixError, TraceError
from neurenix.graph.structure import Structure
from neurenix.ops.mode import Symbolic
from neurenix.ops.op import OPS, Op, ViewMeta
from neurenix.ops.shapes import dense_strides, element_count

if TYPE_CHECKING:
    from neurenix.backends.device import Device
    from neurenix.dtypes import DType
    from neurenix.ops.op import Shape
    from neurenix.random import Generator
    from neurenix.tensor import Tensor


class GraphError(NeurenixError, ValueError):
    """A graph that is not well-formed, or a plan whose tensors have changed their shape."""


_LEFT = (
    "this tensor was made in a trace and has no values; tensors of a trace can only be used "
    "inside it, and come out of it through what the traced function returns"
)


class Storage(Symbolic):
    """What stands for a buffer while there is none: the memory that values share."""

    __slots__ = ("device",)

    def __init__(self, device: Device) -> None:
        self.device = device

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise TraceError(_LEFT)

    def __getattr__(self, name: str) -> Any:
        # What a kernel asks of a buffer, a storage has not.
        raise AttributeError(name) if name.startswith("__") else TraceError(_LEFT)


@dataclass(frozen=True, eq=False, slots=True)
class Value:
    """A tensor of the graph, known by its shape, dtype and place in a storage.

    Attributes:
        shape: The sizes of the axes.
        dtype: The elements' dtype.
        strides: Steps between neighbours along each axis, in elements.
        offset: Where the first element lies in the storage, in elements.
        storage: The memory, shared with views and with what is written in place.
        name: Its name: an input's, the path of a parameter, or a number.
        tensor: The real tensor, where the value is one that the traced code met.
    """

    shape: Shape
    dtype: DType
    strides: Shape
    offset: int
    storage: Storage
    name: str
    tensor: Tensor | None = None

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return element_count(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes that the elements take."""
        return self.size * self.dtype.itemsize

    @property
    def device(self) -> Device:
        """Where it is."""
        return self.storage.device

    @property
    def layout(self) -> ViewMeta:
        """Shape, strides and offset."""
        return ViewMeta(self.shape, self.strides, self.offset)

    @property
    def is_dense(self) -> bool:
        """Whether the elements lie one after the other, in row-major order."""
        dense = dense_strides(self.shape)
        return (
            0 in self.shape
            or self.strides == dense
            or all(
                size == 1 or a == b
                for size, a, b in zip(self.shape, self.strides, dense, strict=True)
            )
        )

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"

    def __repr__(self) -> str:
        return f"<value {self.name}: {self}>"


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """One op on values.

    Attributes:
        op: The op.
        inputs: Its inputs; None where the op leaves one out.
        attrs: Its attributes.
        outputs: What it computes: one value an output of the op.
    """

    op: Op
    inputs: tuple[Value | None, ...]
    attrs: dict[str, Any]
    outputs: tuple[Value, ...]

    @property
    def operands(self) -> Iterator[Value]:
        """The inputs that are there."""
        return (value for value in self.inputs if value is not None)

    @property
    def written(self) -> tuple[Storage, ...]:
        """The storages of its inputs that it writes in place."""
        donors = [self.inputs[i] for i in self.op.donates.values()]
        return tuple(donor.storage for donor in donors if donor is not None)

    def __repr__(self) -> str:
        return f"<node {', '.join(v.name for v in self.outputs)} = {self.op.name}>"


@dataclass(frozen=True, eq=False, slots=True)
class RandomKey:
    """A draw from a generator: an input that every run of the graph takes anew."""

    value: Value
    generator: Generator


@dataclass(frozen=True, eq=False)
class Graph:
    """A traced computation.

    Attributes:
        name: What was traced.
        device: Where it runs.
        inputs: The values that a run is given.
        nodes: What every run computes, in order.
        outputs: The results.
        input_structure: How a caller nests the inputs.
        output_structure: How the results are nested.
        prelude: What depends on captured tensors alone; computed once, and again when one of
            them has changed. See `neurenix.graph.passes.fold_constants`.
        keys: The random draws, in order.
    """

    name: str
    device: Device
    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Value, ...]
    input_structure: Structure
    output_structure: Structure
    prelude: tuple[Node, ...] = ()
    keys: tuple[RandomKey, ...] = field(default=())

    @property
    def captured(self) -> tuple[Value, ...]:
        """The real tensors that the computation reads or writes, in the order of their use."""
        found: dict[Value, None] = {}
        for node in (*self.prelude, *self.nodes):
            found.update((v, None) for v in node.operands if v.tensor is not None)
        found.update((v, None) for v in self.outputs if v.tensor is not None)
        return tuple(found)

    @property
    def external(self) -> frozenset[Storage]:
        """The storages that exist outside of the graph: a write to one is an effect."""
        values = (*self.inputs, *self.captured, *(key.value for key in self.keys))
        return frozenset(value.storage for value in values)

    @property
    def is_pure(self) -> bool:
        """Whether a run changes nothing but its results and draws no random numbers."""
        external = self.external
        return not self.keys and not any(
            storage in external for node in self.nodes for storage in node.written
        )

    def producers(self) -> dict[Value, Node]:
        """Return the node that computes each value."""
        return {value: node for node in (*self.prelude, *self.nodes) for value in node.outputs}

    def use_counts(self) -> Counter[Value]:
        """Return how often each value is read; being a result counts as once."""
        counts = Counter(self.outputs)
        for node in (*self.prelude, *self.nodes):
            counts.update(node.operands)
        return counts

    def with_nodes(self, nodes: tuple[Node, ...]) -> Graph:
        """Return the graph with other nodes."""
        return replace(self, nodes=nodes)

    def validate(self) -> Graph:
        """Check that the graph is well-formed, and return it.

        Raises:
            GraphError: A value is read before it is there, is computed twice, or is read after
                its storage was written; or a node's outputs are not what its op gives.
        """
        from neurenix.graph.validation import validate

        validate(self)
        return self

    def __str__(self) -> str:
        from neurenix.graph.printing import render

        return render(self)

    def __repr__(self) -> str:
        return f"<graph {self.name}: {len(self.nodes)} nodes>"


def _as_strided_meta(x: Any, *, shape: Shape, strides: Shape, offset: int) -> ViewMeta:
    return ViewMeta(shape, strides, offset)


as_strided = Op(
    "as_strided",
    meta=_as_strided_meta,
    view=True,
    differentiable=False,
    doc="Return a view at a place of the storage: what reads a storage after a write to a part.",
)
# It exists in graphs alone: code never applies it, and no backend needs to know of it.
del OPS["as_strided"]
