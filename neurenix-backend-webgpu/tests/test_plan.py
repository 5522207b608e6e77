"""Plans: work that is recorded once, and repeated on other memory."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix import nn
from neurenix.backends import resolve
from neurenix.graph import RecordedPlan, make_executable, trace, trace_function
from neurenix.nn import functional as F

Step = Callable[..., Any]


class Residual(nn.Module):
    """A block with a detour, in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn0 = nn.BatchNorm2d(4)
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: nx.Tensor) -> nx.Tensor:
        x = nx.max_pool2d(nx.relu(self.bn0(self.stem(x))), 2)
        x = nx.relu(self.bn1(self.conv(x)) + x)
        return self.fc(nx.adaptive_avg_pool2d(x, 1).flatten(1))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "perceptron": (
        lambda: nn.Sequential(nn.Linear(10, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3)),
        (5, 10),
    ),
    "dropout": (
        lambda: nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Dropout(0.25), nn.Linear(8, 3)),
        (5, 10),
    ),
    "residual": (Residual, (2, 3, 6, 8)),
}
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "momentum": lambda params: nx.optim.SGD(params, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adamw": lambda params: nx.optim.AdamW(params, lr=0.01, weight_decay=0.1),
}


def _random(shape: tuple[int, ...]) -> nx.Tensor:
    return nx.randn(shape, device="cpu").to("webgpu")


def _labels(count: int) -> nx.Tensor:
    return nx.randint(0, 3, (count,), device="cpu").to("webgpu")


def _step_of(module: nn.Module, optimizer: Any) -> Step:
    def step(x: nx.Tensor, target: nx.Tensor) -> tuple[nx.Tensor, nx.Tensor]:
        optimizer.zero_grad()
        logits = module(x)
        loss = F.cross_entropy(logits, target)
        loss.backward()
        optimizer.step()
        return loss, logits

    return step


def _state_of(module: nn.Module, optimizer: Any) -> list[np.ndarray[Any, Any]]:
    states = [value for state in optimizer.state.values() for value in state.values()]
    return [np.array(x.detach().numpy()) for x in (*module.state_dict().values(), *states)]


def _recorded(graph: Any) -> Any:
    executable = make_executable(graph)
    assert isinstance(executable, RecordedPlan), repr(executable)
    return executable


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_recorded_step_is_the_eager_step(
    name: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What would stand in where the memory of tensors is shared.
    monkeypatch.setattr("neurenix.graph.recorded_plan.Plan", None)
    make, shape = NETWORKS[name]
    nx.manual_seed(1)
    modules = [make()]
    modules.append(copy.deepcopy(modules[0]))
    rules, steps = [], []
    for module in modules:
        module.to("webgpu")
        rules.append(OPTIMIZERS[optimizer](module.parameters()))
        steps.append(_step_of(module, rules[-1]))
        nx.manual_seed(2)
        steps[-1](_random(shape), _labels(shape[0]))
    graph = trace_function(steps[0], _random(shape), _labels(shape[0]), allow_random=True)
    executable = _recorded(graph)
    for seed in range(3):
        x, target = _random(shape), _labels(shape[0])
        nx.manual_seed(seed)
        found = executable.run([x, target])
        nx.manual_seed(seed)
        expected = steps[1](x, target)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-5)
    states = zip(_state_of(modules[0], rules[0]), _state_of(modules[1], rules[1]), strict=True)
    for a, b in states:
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * max(float(np.abs(b).max()), 1e-6))


def test_a_plan_follows_weights_that_are_written_or_replaced() -> None:
    nx.manual_seed(1)
    module = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)).to("webgpu").eval()
    x = _random((3, 6))
    with nx.no_grad():
        executable = _recorded(trace(module, x))
        for change in (0.5, 2.0):
            for parameter in module.parameters():
                parameter.copy_(parameter * change)
            (found,) = executable.run([x])
            np.testing.assert_allclose(found.numpy(), module(x).numpy(), rtol=1e-5, atol=1e-6)


def test_a_plan_draws_anew_in_each_run() -> None:
    x = nx.ones((400,), device="webgpu")
    graph = trace_function(lambda x: F.dropout(x, 0.5), x, allow_random=True)
    executable = _recorded(graph)
    draws = [executable.run([x])[0].numpy() for _ in range(2)]
    assert {*np.unique(draws[0])} == {0.0, 2.0}
    assert (draws[0] != draws[1]).any()


def test_inputs_may_be_parts_of_other_tensors() -> None:
    rows = _random((4, 6))
    with nx.no_grad():
        executable = _recorded(trace_function(lambda x, y: x * 2.0 + y, rows[0], rows[1]))
        for x, y in ((rows[2], rows[1]), (rows[3], rows[3]), (rows[0], _random((6,)))):
            (found,) = executable.run([x, y])
            np.testing.assert_allclose(found.numpy(), x.numpy() * 2.0 + y.numpy(), rtol=1e-6)


def test_what_is_written_may_be_given_twice() -> None:
    """Then the kernels are called: one buffer cannot be written and read under two names."""

    def update(x: nx.Tensor, y: nx.Tensor) -> nx.Tensor:
        x.copy_(x + y)
        return x * 1.0

    x, y = _random((5,)), _random((5,))
    with nx.no_grad():
        executable = _recorded(trace_function(update, x, y))
        before = x.numpy() + y.numpy()
        (found,) = executable.run([x, y])
        np.testing.assert_array_equal(found.numpy(), before)
        np.testing.assert_array_equal(x.numpy(), before)
        (found,) = executable.run([x, x])
        np.testing.assert_array_equal(found.numpy(), 2.0 * before)
        np.testing.assert_array_equal(x.numpy(), 2.0 * before)
        matrix = _random((2, 5))
        expected = matrix.numpy()[1] + y.numpy()
        executable.run([matrix[1], y])
        np.testing.assert_array_equal(matrix.numpy()[1], expected)


def test_results_of_earlier_runs_stay_as_they_are() -> None:
    x = nx.ones((1000,), device="webgpu")
    with nx.no_grad():
        executable = _recorded(trace_function(lambda x: (x + 1.0) * 2.0, x))
        results = [executable.run([x * float(n)])[0] for n in range(8)]
    assert [r[999].item() for r in results] == [2.0 * (n + 1) for n in range(8)]


def test_a_wrong_index_in_a_run_is_reported_by_whoever_waits() -> None:
    x, index = nx.Tensor([1.0, 2.0], device="webgpu"), nx.Tensor([1, 0], device="webgpu")
    executable = _recorded(trace_function(lambda x, i: nx.ops.gather(x, i, 0), x, index))
    assert executable.run([x, index])[0].tolist() == [2.0, 1.0]
    (wrong,) = executable.run([x, nx.Tensor([0, 5], device="webgpu")])
    with pytest.raises(IndexError, match="gather got the index 5"):
        wrong.numpy()
    assert executable.run([x, index])[0].tolist() == [2.0, 1.0]


def test_a_plan_that_is_dropped_gives_its_memory_back() -> None:
    backend: Any = resolve("webgpu").backend
    device = backend.device(0)
    x = _random((64, 64))
    gc.collect()
    before, _, _ = device.memory_statistics()
    with nx.no_grad():
        executable = _recorded(trace_function(lambda x: (x @ x).softmax(-1) @ x, x))
        executable.run([x])
    assert executable.nbytes > 0
    assert "matmul" in executable.describe()
    assert "dispatches" in repr(executable)
    del executable
    gc.collect()
    assert device.memory_statistics()[0] - before < 4096  # what scalars take


@pytest.mark.filterwarnings("ignore:'add' of .* has no kernel:RuntimeWarning")
def test_what_has_no_kernel_runs_on_the_plan_of_core() -> None:
    x = nx.Tensor(np.array([1.5, 2.5]), device="webgpu")
    executable = make_executable(trace_function(lambda x: x + x, x))
    assert "no kernel for 'add'" in repr(executable)
    assert executable.run([x])[0].tolist() == [3.0, 5.0]
