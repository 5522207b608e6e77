"""From a graph of Neurenix to a program of the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neurenix.dtypes import float32
from neurenix.graph.graph import Graph, Node, Storage, Value
from neurenix.graph.passes import fold_constants, lower_mapped, remove_dead_code
from neurenix_backend_cpu import _native

if TYPE_CHECKING:
    from neurenix import Tensor
    from neurenix.backends import Kernel
    from neurenix.graph.precision import Precision
    from neurenix.ops.op import Op

# What plans carry out themselves, of 32-bit floats.
_PLANNED = frozenset({"conv2d", "conv2d_grad_input", "conv2d_grad_weight", "linear", "matmul"})
_COPIES = frozenset({"assign"})


class NotNative(Exception):
    """The engine has no code for an op, as a graph uses it."""


@dataclass(frozen=True, slots=True)
class Externals:
    """The memory that a run is given, a value standing for each storage, in the order of a run.

    Attributes:
        given: Inputs and random keys.
        fresh: Results, which get new memory.
        captured: Storages of tensors from outside.
        folded: What the graph's prelude computes.
        changing: The storages that the graph writes in place.
    """

    given: tuple[Value, ...]
    fresh: tuple[Value, ...]
    captured: tuple[Value, ...]
    folded: tuple[Value, ...]
    changing: frozenset[Storage]

    def __len__(self) -> int:
        return len(self.given) + len(self.fresh) + len(self.captured) + len(self.folded)


def native_graph(
    graph: Graph, kernels: Mapping[str, Kernel], precision: Precision | None
) -> tuple[Graph, Precision | None]:
    """Return the graph with composite ops that the engine does not know replaced by simpler ones.

    With it comes the precision, with the ranges of that graph's values.

    Raises:
        NotNative: An op is left that the engine has no code for.
    """

    def knows(op: Op, inputs: tuple[Any, ...], attrs: Mapping[str, Any]) -> bool:
        return why_not(op, inputs, attrs, kernels) is None

    if not all(knows(node.op, node.inputs, node.attrs) for node in graph.nodes if not node.op.view):
        lowered, values = lower_mapped(graph, knows)
        graph = fold_constants(remove_dead_code(lowered))
        precision = None if precision is None else precision.mapped(values)
    for node in graph.nodes:
        reason = None if node.op.view else why_not(node.op, node.inputs, node.attrs, kernels)
        if reason is not None:
            raise NotNative(reason)
    return graph, precision


def why_not(
    op: Op,
    inputs: Iterable[Value | Tensor | None],
    attrs: Mapping[str, Any],
    kernels: Mapping[str, Kernel],
) -> str | None:
    """Return why the engine cannot carry out an op in a plan, or None if it can."""
    if op.name in _COPIES:
        return None
    dtypes = [x.dtype for x in inputs if x is not None]
    if "dtype" in attrs:
        dtypes.append(attrs["dtype"])
    if op.name in _PLANNED and all(dtype == float32 for dtype in dtypes):
        return None
    kernel = kernels.get(op.name)
    named = ", ".join(map(str, dtypes))
    if kernel is None or not _native.has_operation(op.name, dict(attrs)):
        return f"{op.name!r} of ({named}) has no native operation"
    if op.name != "copy" and not all(dtype in kernel.dtypes for dtype in dtypes):
        return f"{op.name!r} has no native operation for ({named})"
    return None


def find_externals(graph: Graph) -> Externals:
    """Return the memory that runs of a graph are given."""
    given = (*graph.inputs, *(key.value for key in graph.keys))
    external = graph.external
    results = {value.storage for value in graph.outputs}
    made = first_values(value for node in graph.nodes for value in node.outputs)
    read = {value for node in graph.nodes for value in node.operands} | {*graph.outputs}
    folded = (value for node in graph.prelude for value in node.outputs if value in read)
    storages = {value.storage for value in given}
    return Externals(
        given,
        tuple(v for v in made if v.storage in results and v.storage not in external),
        tuple(v for v in first_values(graph.captured) if v.storage not in storages),
        tuple(v for v in first_values(folded) if v.storage not in external),
        frozenset(storage for node in graph.nodes for storage in node.written),
    )


def first_values(values: Iterable[Value]) -> list[Value]:
    """Return the first value of each storage."""
    first: dict[Storage, Value] = {}
    for value in values:
        first.setdefault(value.storage, value)
    return list(first.values())


def span_bytes(values: Iterable[Value]) -> int:
    """Return the bytes of a storage from its start to the end of what values cover."""
    end = 0
    for value in values:
        if value.size:
            reach = sum((n - 1) * step for n, step in zip(value.shape, value.strides, strict=True))
            end = max(end, (value.offset + reach + 1) * value.dtype.itemsize)
    return end


def build_program(
    graph: Graph,
    externals: Externals,
    kernels: Mapping[str, Kernel],
    precision: Precision | None,
) -> Any:
    """Return the engine's program of a graph, in float32 where there is no other precision."""
    return _Builder(graph, externals, kernels, precision).program


class _Builder:
    def __init__(
        self,
        graph: Graph,
        externals: Externals,
        kernels: Mapping[str, Kernel],
        precision: Precision | None,
    ) -> None:
        name = "float32" if precision is None else precision.name
        self.program = _native.Program(graph.name, len(externals), name)
        self._kernels = kernels
        self._ranges = {} if precision is None else precision.ranges
        self._values: dict[Value, int] = {}
        self._storages: dict[Storage, int] = {}
        nodes = [node for node in graph.nodes if not node.op.view]
        over: dict[Storage, list[Value]] = {}
        ends = (*externals.given, *externals.fresh, *graph.outputs)
        touched = (v for node in nodes for v in (*node.operands, *node.outputs))
        for value in dict.fromkeys((*ends, *externals.captured, *externals.folded, *touched)):
            over.setdefault(value.storage, []).append(value)
        order = (*externals.given, *externals.fresh, *externals.captured, *externals.folded)
        number = {value.storage: index for index, value in enumerate(order)}
        kept = {value.storage for value in (*externals.captured, *externals.folded)}
        for storage, values in over.items():
            constant = storage in kept and storage not in externals.changing
            self._storages[storage] = self.program.storage(
                span_bytes(values), number.get(storage), constant
            )
        for node in nodes:
            self._add(node)

    def _value(self, value: Value) -> int:
        found = self._values.get(value)
        if found is None:
            found = self._values[value] = self.program.value(
                value.dtype,
                list(value.shape),
                list(value.strides),
                value.offset,
                self._storages[value.storage],
                value.name,
            )
            if value in self._ranges:
                self.program.range(found, self._ranges[value])
        return found

    def _add(self, node: Node) -> None:
        kernel = self._kernels.get(node.op.name)
        self.program.node(
            node.op.name,
            dict(node.attrs),
            [None if value is None else self._value(value) for value in node.inputs],
            [self._value(value) for value in node.outputs],
            [self._storages[storage] for storage in node.written],
            kernel is not None and kernel.strided,
        )
