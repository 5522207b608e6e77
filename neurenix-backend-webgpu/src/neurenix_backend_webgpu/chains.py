"""Chains: elementwise ops of a graph that run as one kernel, whose WGSL is generated.

A chain reads tensors and numbers, and computes value after value in registers; only what others
read is written to memory. An op joins the chain of what it reads if both have one shape, if nothing
that runs in between depends on the one and is needed by the other, and if a shader may bind as many
buffers as the chain then has.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.graph.graph import Graph, Node, Storage, Value
from neurenix.graph.passes import remove_dead_code
from neurenix.ops.op import OPS, Op, TensorMeta
from neurenix.ops.scalars import number_of
from neurenix_backend_webgpu import _native

if TYPE_CHECKING:
    from neurenix.dtypes import DType

_MEMBERS = frozenset(_native.CHAIN_OPS)
# A kernel of more would be slow to compile, and would not run faster.
_MOST_STEPS = 64
_WORD_BYTES = 4


def _meta(*inputs: Any, numbers: Any, steps: Any, results: Any) -> tuple[TensorMeta, ...]:
    dtypes = [value.dtype for value in inputs]
    dtypes += [dtype for dtype, _ in numbers]
    dtypes += [dtype for _, dtype, _, _ in steps]
    return tuple(TensorMeta(inputs[0].shape, dtypes[result]) for result in results)


def _declared(count: int) -> Op:
    names = ("out", *(f"out{number}" for number in range(1, count)))
    op = Op("chain", meta=_meta, outputs=names, differentiable=False)
    # It exists in graphs of this backend alone.
    del OPS["chain"]
    return op


_CHAINS = tuple(_declared(count) for count in range(1, _native.CHAIN_OUTPUTS + 1))


def fuse_chains(graph: Graph, storage_buffers: int) -> Graph:
    """Return the graph with its elementwise ops in chains; the nodes may stand in another order.

    Args:
        graph: A graph of ops that there are kernels for.
        storage_buffers: How many buffers a shader can bind besides its parameters.
    """
    fusion = _Fusion(graph, storage_buffers)
    for place in range(len(graph.nodes)):
        fusion.extend(place)
    return remove_dead_code(replace(graph, nodes=tuple(fusion.nodes())))


def describe(node: Node) -> str:
    """Return a line on a node; of a chain, it names the ops."""
    if node.op not in _CHAINS:
        return repr(node)
    names = ", ".join(value.name for value in node.outputs)
    return f"<node {names} = chain of {' '.join(step[0] for step in node.attrs['steps'])}>"


class _Fusion:
    """The units of a graph: chains in the making, and the nodes that are none.

    Nodes are known by their places, sets of them are bits of integers.
    """

    def __init__(self, graph: Graph, storage_buffers: int) -> None:
        self._graph = graph
        self._storage_buffers = storage_buffers
        self._numbers = _numbers(graph)
        self._producer = {v: n for n, node in enumerate(graph.nodes) for v in node.outputs}
        self._readers: dict[Value, int] = {}
        for place, node in enumerate(graph.nodes):
            for value in node.operands:
                self._readers[value] = self._readers.get(value, 0) | 1 << place
        self._results = set(graph.outputs)
        self._direct = _dependencies(graph)
        self._unit = list(range(len(graph.nodes)))
        self._members = {place: [place] for place in self._unit}
        # Of each unit, what has to run before it, and after it.
        self._before = [0] * len(graph.nodes)
        self._after = [0] * len(graph.nodes)
        for place, direct in enumerate(self._direct):
            for earlier in _bits(direct):
                self._before[place] |= self._before[earlier] | 1 << earlier
        for place in reversed(range(len(graph.nodes))):
            for earlier in _bits(self._direct[place]):
                self._after[earlier] |= self._after[place] | 1 << place

    def extend(self, place: int) -> None:
        """Let a node join the chains that it reads."""
        node = self._graph.nodes[place]
        if not _is_member(node):
            return
        for value in node.operands:
            source = self._producer.get(value)
            if source is None or value in self._numbers:
                continue
            other, own = self._unit[source], self._unit[place]
            if other == own or not _is_member(self._graph.nodes[source]):
                continue
            if value.shape != node.outputs[0].shape:
                continue
            joined = self._members[other] + self._members[own]
            if self._fits(joined) and not self._has_detour(joined):
                self._join(sorted(joined), own)

    def nodes(self) -> Iterator[Node]:
        """Return the nodes of the new graph: each after all that it needs."""
        missing = {
            unit: {self._unit[n] for place in members for n in _bits(self._direct[place])} - {unit}
            for unit, members in self._members.items()
        }
        waiting: dict[int, list[int]] = {}
        for unit, needed in missing.items():
            for other in needed:
                waiting.setdefault(other, []).append(unit)
        # The order of the graph, where there is a choice: it says how long values are needed.
        ready = [(self._members[unit][-1], unit) for unit, needed in missing.items() if not needed]
        heapq.heapify(ready)
        while ready:
            _, unit = heapq.heappop(ready)
            members = self._members[unit]
            yield self._chain(members) if len(members) > 1 else self._graph.nodes[unit]
            for other in waiting.get(unit, ()):
                missing[other].discard(unit)
                if not missing[other]:
                    heapq.heappush(ready, (self._members[other][-1], other))

    def _join(self, joined: list[int], into: int) -> None:
        mask = _mask(joined)
        units = {self._unit[place] for place in joined}
        before, after = (
            _union(side[unit] for unit in units) & ~mask for side in (self._before, self._after)
        )
        for unit in units:
            del self._members[unit]
        for place in joined:
            self._unit[place] = into
        self._members[into] = joined
        self._before[into], self._after[into] = before, after
        for unit in self._members:
            if unit != into and self._before[unit] & mask:
                self._before[unit] |= before | mask
            if unit != into and self._after[unit] & mask:
                self._after[unit] |= after | mask

    def _has_detour(self, joined: list[int]) -> bool:
        """Whether something else needs one of these nodes, and is needed by another."""
        units = {self._unit[place] for place in joined}
        before = _union(self._before[unit] for unit in units)
        after = _union(self._after[unit] for unit in units)
        return bool(before & after & ~_mask(joined))

    def _fits(self, joined: list[int]) -> bool:
        inputs, results = self._inputs(joined), self._written(joined)
        storages = {value.storage for value in (*inputs, *results)}
        return (
            len(joined) <= _MOST_STEPS
            and len(inputs) <= _native.CHAIN_INPUTS
            and len(results) <= len(_CHAINS)
            and len(storages) <= self._storage_buffers
        )

    def _inputs(self, members: list[int]) -> list[Value]:
        """Return the tensors that a chain reads."""
        nodes = [self._graph.nodes[place] for place in members]
        inside = {value for node in nodes for value in node.outputs}
        read = dict.fromkeys(value for node in nodes for value in node.operands)
        return [value for value in read if value not in inside and value not in self._numbers]

    def _written(self, members: list[int]) -> list[Value]:
        """Return what a chain writes, what is packed several to a word first."""
        inside = _mask(members)
        computed = [value for place in members for value in self._graph.nodes[place].outputs]
        needed = [v for v in computed if v in self._results or self._readers.get(v, 0) & ~inside]
        return sorted(needed, key=lambda value: value.dtype.itemsize >= _WORD_BYTES)

    def _chain(self, members: list[int]) -> Node:
        nodes = [self._graph.nodes[place] for place in members]
        inputs, results = self._inputs(members), self._written(members)
        read = dict.fromkeys(value for node in nodes for value in node.operands)
        numbers = [value for value in read if value in self._numbers]
        order = [*inputs, *numbers, *(node.outputs[0] for node in nodes)]
        number_of_value = {value: number for number, value in enumerate(order)}
        steps = tuple(
            (
                node.op.name,
                node.outputs[0].dtype,
                tuple(number_of_value[value] for value in node.operands),
                node.attrs.get("approximate"),
            )
            for node in nodes
        )
        attrs = {
            "numbers": tuple((value.dtype, self._numbers[value]) for value in numbers),
            "steps": steps,
            "results": tuple(number_of_value[value] for value in results),
        }
        return Node(_CHAINS[len(results) - 1], tuple(inputs), attrs, tuple(results))


def _is_member(node: Node) -> bool:
    """Whether a node can be part of a chain: elementwise, of dtypes that shaders compute in."""
    if node.op.name not in _MEMBERS or node.op is not OPS.get(node.op.name):
        return False
    out = node.outputs[0]
    dtypes = {value.dtype.name for value in (*node.operands, out)}
    return out.size > 0 and out.is_dense and "float64" not in dtypes


def _numbers(graph: Graph) -> dict[Value, bool | int | float]:
    """Return the values that are one number throughout: filled, or constants of the code."""
    written = {storage for node in graph.nodes for storage in node.written}
    found: dict[Value, bool | int | float] = {}
    for value in graph.captured:
        number = None if value.tensor is None else number_of(value.tensor)
        if number is not None and value.storage not in written:
            found[value] = _rounded(number, value.dtype)
    for node in (*graph.prelude, *graph.nodes):
        out = node.outputs[0]
        if out.storage in written or out.dtype.name == "float64":
            continue
        if node.op.name == "fill":
            found[out] = _rounded(node.attrs["value"], out.dtype)
        elif node.op.view and node.inputs[0] in found:
            found[out] = found[node.inputs[0]]
    return found


def _rounded(number: bool | int | float, dtype: DType) -> bool | int | float:
    """Return the number that a dtype holds in its place."""
    with np.errstate(all="ignore"):
        rounded = np.asarray(number).astype(dtype)
    if dtype.kind == "b":
        return bool(rounded)
    return int(rounded) if dtype.kind in "iu" else float(rounded)


def _dependencies(graph: Graph) -> list[int]:
    """Return of each node the nodes that it directly has to follow."""
    producer: dict[Value, int] = {}
    writer: dict[Storage, int] = {}
    readers: dict[Storage, int] = {}
    found = []
    for place, node in enumerate(graph.nodes):
        direct = 0
        for value in node.operands:
            if value in producer:
                direct |= 1 << producer[value]
            if value.storage in writer:
                direct |= 1 << writer[value.storage]
        for storage in node.written:
            direct |= readers.get(storage, 0)
        for value in node.operands:
            readers[value.storage] = readers.get(value.storage, 0) | 1 << place
        for storage in node.written:
            writer[storage] = place
            readers[storage] = 0
        producer.update(dict.fromkeys(node.outputs, place))
        if not node.op.view:
            writer.update({value.storage: place for value in node.outputs})
        found.append(direct)
    return found


def _bits(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _mask(places: Iterable[int]) -> int:
    return _union(1 << place for place in places)


def _union(masks: Iterable[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union
