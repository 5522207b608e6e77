"""Plans that a backend records once: what it is told, and what of its memory a run sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn, optim
from neurenix.errors import PlanError, ShapeError
from neurenix.graph import (
    Graph,
    KernelCall,
    PlanMemory,
    RecordedPlan,
    optimize,
    trace,
    trace_function,
)


class Tape:
    """A recording by NumPy: the calls are made again, on placeholders copied to and fro."""

    rebinds = False
    reserved_bytes = 1000

    def __init__(self, calls: Sequence[KernelCall], memory: PlanMemory) -> None:
        self.calls = calls
        self.memory = memory
        self.runs = 0

    def run(self, buffers: Sequence[Any]) -> None:
        self.runs += 1
        memory = self.memory
        first_captured = len(memory.given) + len(memory.folded)
        first_fresh = first_captured + len(memory.captured)
        for place, buffer in zip(memory.placeholders[:first_captured], buffers, strict=False):
            place[...] = buffer
        for call in self.calls:
            call()
        for number in memory.written:
            if number < len(memory.given):
                buffers[number][...] = memory.given[number]
        for place, buffer in zip(memory.fresh, buffers[first_fresh:], strict=True):
            buffer[...] = place


class Rebinding(Tape):
    rebinds = True


@pytest.fixture
def host() -> neurenix.Device:
    return neurenix.ones((1,), device="cpu@neurenix-core").device


def draw(device: neurenix.Device, *shape: int) -> Tensor:
    return neurenix.randn(shape, device=device)


def recorded(graph: Graph, record: Callable[..., Any] = Tape) -> RecordedPlan:
    return RecordedPlan(optimize(graph), record)


def close(a: Tensor, b: Tensor) -> bool:
    return bool(np.allclose(a.detach().numpy(), b.detach().numpy(), 1e-5, 1e-6))


def test_a_network_is_repeated_and_sees_its_weights(host: neurenix.Device) -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)).to(host).eval()
    x = draw(host, 3, 6)
    plan = recorded(trace(model, x))
    recording = plan._recording
    first = plan.run([x])[0]
    assert close(first, model(x))
    kept = first.numpy().copy()
    with neurenix.no_grad():
        model[0].weight.copy_(model[0].weight * 2.0)
    assert close(plan.run([x + 1.0])[0], model(x + 1.0))
    assert np.array_equal(first.numpy(), kept), "results are new memory"
    assert plan._recording is recording
    assert recording.runs == 2
    assert plan.nbytes >= 1000
    assert "linear" in plan.describe()
    with pytest.raises(ShapeError):
        plan.run([draw(host, 4, 6)])


@pytest.mark.parametrize(("record", "anew"), [(Tape, True), (Rebinding, False)])
def test_other_memory_of_captured_tensors(
    host: neurenix.Device, record: Callable[..., Any], anew: bool
) -> None:
    weight = draw(host, 4)
    x = draw(host, 4)
    plan = recorded(trace_function(lambda x: x * weight, x, device=host), record)
    recording = plan._recording
    assert recording.memory.captured == (weight.buffer,)
    weight.buffer = draw(host, 4).buffer
    plan.run([x])
    assert (plan._recording is not recording) == anew
    if anew:
        assert close(plan.run([x])[0], x * weight)


def test_inputs_that_are_written_are_written_back(host: neurenix.Device) -> None:
    def step(x: Tensor, by: Tensor) -> Tensor:
        x.copy_(x + by)
        return x.sum()

    x, by = draw(host, 2, 3), draw(host, 2, 3)
    plan = recorded(trace_function(step, x, by, device=host))
    expected = x + by
    total = plan.run([x, by])[0]
    assert close(x, expected)
    assert close(total, expected.sum())
    wide = draw(host, 3, 2)
    expected = wide.T + by
    plan.run([wide.T, by])  # what is no buffer of its own is copied there and back
    assert close(wide.T, expected)


def test_results_that_share_memory(host: neurenix.Device) -> None:
    def split(x: Tensor) -> tuple[Tensor, ...]:
        y = x * 2.0
        return y, y.T, y[1:], x, x[0]

    x = draw(host, 3, 3)
    plan = recorded(trace_function(split, x, device=host))
    found, expected = plan.run([x]), split(x)
    for ours, theirs in zip(found, expected, strict=True):
        assert close(ours, theirs)
    found[0][1, 0] = 7.0
    assert found[1][0, 1].item() == found[2][0, 0].item() == 7.0
    assert found[3] is x


def test_one_tensor_twice_is_run_by_calling_kernels(host: neurenix.Device) -> None:
    def step(x: Tensor, y: Tensor) -> Tensor:
        x.copy_(x + 1.0)
        return x + y

    x = draw(host, 3)
    before = x.clone()
    plan = recorded(trace_function(step, x, draw(host, 3), device=host))
    assert close(plan.run([x, x])[0], (before + 1.0) * 2.0)
    assert plan._recording.runs == 0


def test_a_training_step_draws_new_numbers_each_time(host: neurenix.Device) -> None:
    neurenix.manual_seed(4)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2)).to(host)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x, y = draw(host, 6, 4), neurenix.Tensor([0, 1, 0, 1, 0, 1], device=host)

    def step(x: Tensor, y: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    step(x, y)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plan = recorded(trace_function(step, x, y, device=host, allow_random=True))
    neurenix.manual_seed(5)
    losses = [plan.run([x, y])[0].item() for _ in range(3)]
    model.load_state_dict(before)
    neurenix.manual_seed(5)
    assert np.allclose(losses, [step(x, y).item() for _ in range(3)], 1e-5)
    assert len(set(losses)) == 3


def test_a_call_names_its_op_and_the_order_is_the_backends(host: neurenix.Device) -> None:
    x = draw(host, 2, 2)
    names: list[str] = []

    def record(calls: Sequence[KernelCall], memory: PlanMemory) -> Tape:
        names.extend(call.name for call in calls)
        return Tape(calls, memory)

    graph = trace_function(lambda x: (x.exp().sin(), x.cos()), x, device=host)
    plan = RecordedPlan(
        optimize(graph),
        record,
        lambda graph: graph.with_nodes((graph.nodes[-1], *graph.nodes[:-1])),
    )
    assert names == ["cos", "exp", "sin"]
    assert close(plan.run([x])[0], x.exp().sin())


def test_what_cannot_be_recorded_is_said(host: neurenix.Device) -> None:
    def refuse(calls: Sequence[KernelCall], memory: PlanMemory) -> Tape:
        raise PlanError("this is not for recording")

    with pytest.raises(PlanError, match="not for recording"):
        recorded(trace_function(lambda x: x + 1.0, draw(host, 2), device=host), refuse)
