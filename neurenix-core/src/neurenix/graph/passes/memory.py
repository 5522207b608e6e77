"""Memory planning: which values share a buffer, because they are never needed together.

Every storage that lives only during a run gets a slot. A slot is free again after the last node
that reads or writes its storage, views included. An elementwise node may write over an input
that nobody needs any more. Results are no part of the plan: each run gives them new buffers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neurenix.graph.kernels import find_kernel
from neurenix.ops.elementwise import Binary, Unary

if TYPE_CHECKING:
    from neurenix.dtypes import DType
    from neurenix.graph.graph import Graph, Node, Storage, Value
    from neurenix.ops.op import Shape


@dataclass(frozen=True, slots=True)
class Slot:
    """A buffer of a plan.

    Attributes:
        dtype: Its elements' dtype.
        shape: The shape of all values that it ever holds, or its size in elements as 1-d.
    """

    dtype: DType
    shape: Shape

    @property
    def nbytes(self) -> int:
        """The bytes that it takes."""
        count = self.dtype.itemsize
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Where the storages of a graph lie.

    Attributes:
        slots: The buffers.
        slot_of: The slot of each storage that lives only during a run.
        unplanned_bytes: What the storages would take if none shared a buffer.
    """

    slots: tuple[Slot, ...]
    slot_of: dict[Storage, int]
    unplanned_bytes: int

    @property
    def nbytes(self) -> int:
        """The bytes that all slots take."""
        return sum(slot.nbytes for slot in self.slots)


class _Life:
    """The time during which storages that follow each other in one place are needed."""

    def __init__(self, value: Value, position: int) -> None:
        self.dtype = value.dtype
        self.size = value.size
        self.shapes = {value.shape}
        self.start = self.end = position
        self.storages = [value.storage]

    def extend(self, value: Value) -> None:
        """Let a value follow in the same place."""
        self.storages.append(value.storage)
        self.shapes.add(value.shape)

    def overlaps(self, other: _Life) -> bool:
        """Whether both are needed at one time."""
        return self.start <= other.end and other.start <= self.end


def plan_memory(graph: Graph) -> MemoryPlan:
    """Return where the storages of a graph lie; see the module's description."""
    last = _last_uses(graph)
    lives: dict[Storage, _Life] = {}
    unplanned = 0
    for position, node in enumerate(graph.nodes):
        for number, value in enumerate(node.outputs):
            if value.storage not in last or value.storage in lives:
                continue
            unplanned += value.nbytes
            dying = None if number else _overwritable(graph, node, last, position)
            if dying is None:
                lives[value.storage] = _Life(value, position)
            else:
                lives[value.storage] = lives[dying]
                lives[dying].extend(value)
            life = lives[value.storage]
            life.end = max(life.end, last[value.storage])
    slots: list[list[_Life]] = []
    slot_of: dict[Storage, int] = {}
    # The largest first, each into the first slot that is free for its time: what comes later is
    # smaller and fits into what is there.
    for life in sorted(dict.fromkeys(lives.values()), key=lambda life: -life.size):
        index = next((i for i, held in enumerate(slots) if _fits(life, held)), len(slots))
        if index == len(slots):
            slots.append([])
        slots[index].append(life)
        slot_of.update(dict.fromkeys(life.storages, index))
    return MemoryPlan(tuple(map(_slot, slots)), slot_of, unplanned)


def _last_uses(graph: Graph) -> dict[Storage, int]:
    """Return the last position at which each storage is needed that lives only during a run."""
    kept = {*graph.external, *(value.storage for value in graph.outputs)}
    kept.update(key.value.storage for key in graph.keys)
    kept.update(value.storage for node in graph.prelude for value in node.outputs)
    return {
        value.storage: position
        for position, node in enumerate(graph.nodes)
        for value in (*node.operands, *node.outputs)
        if value.storage not in kept
    }


def _fits(life: _Life, held: list[_Life]) -> bool:
    return held[0].dtype == life.dtype and not any(map(life.overlaps, held))


def _slot(lives: list[_Life]) -> Slot:
    shapes = {shape for life in lives for shape in life.shapes}
    shape = shapes.pop() if len(shapes) == 1 else (lives[0].size,)
    return Slot(lives[0].dtype, shape)


def _overwritable(
    graph: Graph, node: Node, last: dict[Storage, int], position: int
) -> Storage | None:
    """Return the storage of an input that an elementwise node may write its output over."""
    if not isinstance(node.op, Unary | Binary):
        return None
    kernel = find_kernel(graph.device, node.op, node.inputs, node.attrs)
    if kernel is None or not kernel.in_place:
        return None
    out = node.outputs[0]
    for value in node.operands:
        alone = all(v is value for v in node.operands if v.storage is value.storage)
        alike = value.dtype == out.dtype and value.layout == out.layout
        if alone and alike and last.get(value.storage) == position:
            return value.storage
    return None
