"""Graphs as plans that the GPU repeats: their kernels are recorded once, in the vendor's own form.

A recording has its memory for good. A run copies what it is given to there, and its results from
there to new memory; captured tensors are read and written where they are, and where they have got
other memory since, the graph is recorded anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from neurenix.errors import PlanError
from neurenix.graph import Graph, KernelCall, Node, PlanMemory, RecordedPlan, Storage

from . import _native


def compile_graph(graph: Graph) -> RecordedPlan:
    """Return what runs a graph on a GPU.

    Args:
        graph: An optimized graph.

    Raises:
        PlanError: One of its ops has no kernel, or none that can be recorded.
    """
    record = partial(GraphRecording, graph.device.index)
    return RecordedPlan(graph, record, gather_steps)


class GraphRecording:
    """Kernels as a graph of the vendor's; see `neurenix.graph.Recording`.

    Args:
        index: The device's index.
        calls: What is recorded.
        memory: What it works on.

    Raises:
        PlanError: A kernel cannot be recorded; the message says why.
    """

    rebinds = False

    def __init__(self, index: int, calls: Sequence[KernelCall], memory: PlanMemory) -> None:
        self._memory = memory
        self._folded: list[_native.Buffer | None] = [None] * len(memory.folded)
        self._lock = threading.Lock()
        self._recording = recording = _native.Recording(index)
        try:
            rows = list(_alike(calls))
            for row in rows:
                _record(row)
            self.launches = len(rows)
            recording.end()
        except RuntimeError as error:
            raise PlanError(f"its kernels cannot be recorded: {error}") from error
        finally:
            recording.abandon()

    @property
    def reserved_bytes(self) -> int:
        """Scratch memory of the kernels, which nobody else has meanwhile."""
        return self._recording.reserved_bytes

    def run(self, buffers: Sequence[_native.Buffer]) -> None:
        """Repeat the work on other memory; the buffers captured are those it was recorded on."""
        memory = self._memory
        given = len(memory.given)
        folded = given + len(memory.folded)
        fresh = folded + len(memory.captured)
        with self._lock:  # other runs have the same placeholders
            for place, buffer in zip(memory.given, buffers[:given], strict=True):
                _native.copy_buffer(place, buffer)
            for number, buffer in enumerate(buffers[given:folded]):
                if self._folded[number] is not buffer:
                    _native.copy_buffer(memory.folded[number], buffer)
                    self._folded[number] = buffer
            self._recording.repeat()
            for number in memory.written:
                if number < given:
                    _native.copy_buffer(buffers[number], memory.given[number])
            for place, buffer in zip(memory.fresh, buffers[fresh:], strict=True):
                _native.copy_buffer(buffer, place)

    def __repr__(self) -> str:
        return f"{self.launches} calls of kernels in a graph of the GPU's"


def _alike(calls: Sequence[KernelCall]) -> Iterator[list[KernelCall]]:
    """Yield calls in their order, those in a row together that may be one launch."""

    def kind(call: KernelCall) -> Any:
        if call.name not in _native.MANY:
            return id(call)
        outputs = call.out if isinstance(call.out, tuple) else (call.out,)
        operands = (*outputs, *call.inputs)
        return call.name, call.attrs, [None if x is None else x.dtype for x in operands]

    return (list(same) for _, same in groupby(calls, kind))


def _record(calls: Sequence[KernelCall]) -> None:
    """Call kernels that may be one launch."""
    first, *others = calls
    if others:
        operands = [(call.out, call.inputs) for call in calls]
        _native.run_many(first.name, operands, first.attrs)
    else:
        first()


def gather_steps(graph: Graph) -> Graph:
    """Return the graph with the steps of an optimizer next to each other.

    A step waits for others as long as no node reads what it writes, or writes what it reads.
    """
    nodes: list[Node] = []
    waiting: list[Node] = []
    read: set[Storage] = set()
    written: set[Storage] = set()

    def flush() -> None:
        nodes.extend(sorted(waiting, key=_kind))
        waiting.clear()
        read.clear()
        written.clear()

    for node in graph.nodes:
        if node.op.view:
            nodes.append(node)
            continue
        touched = {value.storage for value in (*node.operands, *node.outputs)}
        changed = {value.storage for value in node.outputs} | {*node.written}
        if not (touched.isdisjoint(written) and changed.isdisjoint(read)):
            flush()
        if node.op.name in _native.MANY:
            waiting.append(node)
            written |= changed
            read |= touched
        else:
            nodes.append(node)
    flush()
    return graph.with_nodes(tuple(nodes))


def _kind(node: Node) -> str:
    dtypes = [None if value is None else value.dtype.name for value in node.inputs]
    return f"{node.op.name} {sorted(node.attrs.items())} {dtypes}"
