"""Memory planning: buffers are shared, and never by what is needed at one time."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

import neurenix
from neurenix import Tensor
from neurenix.graph import Graph, Plan, TensorMeta, trace_function
from neurenix.graph.passes import MemoryPlan, plan_memory


def planned(function: Callable[..., object], *shapes: tuple[int, ...]) -> tuple[Graph, MemoryPlan]:
    metas = [TensorMeta(shape, neurenix.float32) for shape in shapes]
    graph = trace_function(function, *metas).validate()
    return graph, plan_memory(graph)


def test_a_chain_of_elementwise_ops_needs_one_buffer() -> None:
    _, memory = planned(lambda x: ((x * 2 + 1).exp().sqrt() - 3).sum(), (10, 10))
    assert [slot.shape for slot in memory.slots if len(slot.shape) == 2] == [(10, 10)]
    assert memory.nbytes == 400
    assert memory.unplanned_bytes == 2000


def test_what_is_needed_together_has_buffers_of_its_own() -> None:
    _, memory = planned(lambda x: ((x * 2) * (x * 3) * (x * 4)).sum(), (8,))
    assert memory.nbytes == 2 * 8 * 4


def test_an_input_is_never_overwritten() -> None:
    plan = Plan(trace_function(lambda x: (x * 2).relu(), neurenix.zeros((4,))))
    x = Tensor([1.0, -1.0, 2.0, 0.0])
    plan(x)
    assert x.tolist() == [1.0, -1.0, 2.0, 0.0]


def test_a_view_keeps_its_source_alive() -> None:
    def function(x: Tensor) -> Tensor:
        y = x * 2
        row = y[0]
        z = x + 1
        z = z * z
        return (row + z[1]).sum()

    graph, memory = planned(function, (3, 4))
    source, *others = (
        node.outputs[0].storage for node in graph.nodes if node.op.name in ("mul", "add")
    )
    others = others[:2]  # the last one may take the source's place
    assert len(others) == 2
    assert all(memory.slot_of[source] != memory.slot_of[other] for other in others)


def test_broadcast_and_cast_inputs_are_not_overwritten() -> None:
    graph, memory = planned(lambda x, y: ((x * 2) + (y * 2)).sum(), (3, 4), (1, 4))
    (small,) = [v for node in graph.nodes for v in node.outputs if v.shape == (1, 4)]
    (total,) = [node.outputs[0] for node in graph.nodes if node.op.name == "add"]
    assert memory.slot_of[small.storage] != memory.slot_of[total.storage]


def test_other_dtypes_have_other_buffers() -> None:
    _, memory = planned(lambda x: ((x > 0).float() * 2).sum(), (6,))
    assert sorted(str(slot.dtype) for slot in memory.slots if slot.shape == (6,)) == [
        "bool",
        "float32",
    ]


@pytest.mark.parametrize("seed", range(12))
def test_random_programs(seed: int, compare: Callable[..., Plan]) -> None:
    """Programs of views, writes and arithmetic, drawn at random, with all lifetimes checked."""

    def program(x: Tensor, y: Tensor) -> list[Tensor]:
        rng = np.random.default_rng(seed)
        pool = [x, y, x * 1.5, y + 0.5]
        for _ in range(40):
            a, b = (pool[i] for i in rng.integers(0, len(pool), 2))
            choice = rng.integers(0, 8)
            if choice == 0:
                pool.append(a.T + b)
            elif choice == 1:
                pool.append(a * b)
            elif choice == 2:
                pool.append((a - b).tanh())
            elif choice == 3:
                pool.append(a.reshape((9,)).reshape((3, 3)).transpose(0, 1))
            elif choice == 4:
                pool.append(a[1:].sum(0, keepdims=True).expand((3, 3)))
            elif choice == 5:
                pool.append(a.relu())
            else:
                target = pool[rng.integers(2, len(pool))]
                if target.is_contiguous():
                    if choice == 6:
                        target[int(rng.integers(0, 3))] = b[1] * 0.5
                    else:
                        target.copy_(a.T * 0.5)
        return pool[-5:]

    x, y = neurenix.randn((3, 3)), neurenix.randn((3, 3))
    kept = x.numpy().copy(), y.numpy().copy()
    plan = compare(lambda x, y: program(x * 1.0, y * 1.0), x, y)
    np.testing.assert_array_equal(x.numpy(), kept[0])
    np.testing.assert_array_equal(y.numpy(), kept[1])
    assert_no_conflicts(plan.graph, plan.memory)


def assert_no_conflicts(graph: Graph, memory: MemoryPlan) -> None:
    """Check, independently of the planner, that nothing overwrites what is still needed."""
    uses: dict[object, list[int]] = {}
    for position, node in enumerate(graph.nodes):
        for value in (*node.operands, *node.outputs):
            uses.setdefault(value.storage, []).append(position)
    placed = [(s, index, uses[s]) for s, index in memory.slot_of.items()]
    for (_, i, first), (_, j, second) in itertools.combinations(placed, 2):
        if i == j:
            apart = first[-1] <= second[0] or second[-1] <= first[0]
            assert apart, "two storages share a slot while both are needed"
    returned = {value.storage for value in graph.outputs}
    assert returned.isdisjoint(memory.slot_of)
    assert graph.external.isdisjoint(memory.slot_of)
