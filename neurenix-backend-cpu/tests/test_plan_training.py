"""Training steps as native plans: parameters, statistics and losses are those of eager steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix import nn
from neurenix.graph import make_executable, trace_function
from neurenix.models import resnet18
from neurenix.nn import functional as F


class Residual(nn.Module):
    """A block with a detour of another width, in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn0 = nn.BatchNorm2d(16)
        self.conv1 = nn.Conv2d(16, 24, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.conv2 = nn.Conv2d(24, 24, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(24)
        self.down = nn.Conv2d(16, 24, 1, stride=2, bias=False)
        self.bn3 = nn.BatchNorm2d(24)
        self.fc = nn.Linear(24, 4)

    def forward(self, x: nx.Tensor) -> nx.Tensor:
        x = nx.max_pool2d(nx.relu(self.bn0(self.stem(x))), 3, 2, 1)
        inner = self.bn2(self.conv2(nx.relu(self.bn1(self.conv1(x)))))
        x = nx.relu(inner + self.bn3(self.down(x)))
        return self.fc(nx.adaptive_avg_pool2d(x, 1).flatten(1))


NETWORKS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "perceptron": (
        lambda: nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 4)),
        (6, 20),
    ),
    "dropout": (
        lambda: nn.Sequential(
            nn.LayerNorm(20), nn.Linear(20, 16), nn.GELU(), nn.Dropout(0.25), nn.Linear(16, 4)
        ),
        (6, 20),
    ),
    "residual": (Residual, (4, 3, 13, 16)),
    "resnet18": (lambda: resnet18(num_classes=4), (4, 3, 64, 64)),
}
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda params: nx.optim.SGD(params, lr=0.05),
    "momentum": lambda params: nx.optim.SGD(params, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adamw": lambda params: nx.optim.AdamW(params, lr=0.01, weight_decay=0.1),
}


def step_of(module: Any, optimizer: Any) -> Callable[..., Any]:
    def step(x: nx.Tensor, target: nx.Tensor) -> tuple[nx.Tensor, nx.Tensor]:
        optimizer.zero_grad()
        logits = module(x)
        loss = F.cross_entropy(logits, target)
        loss.backward()
        optimizer.step()
        return loss, logits

    return step


def state_of(module: Any, optimizer: Any) -> list[np.ndarray[Any, Any]]:
    states = [value for state in optimizer.state.values() for value in state.values()]
    return [x.detach().numpy().copy() for x in (*module.state_dict().values(), *states)]


def pair(name: str, optimizer: str) -> list[tuple[Any, Any, Callable[..., Any]]]:
    """Return twice the same network, optimizer and step, after a first eager step."""
    nx.manual_seed(1)
    make, shape = NETWORKS[name]
    first = make()
    found = []
    for module in (first, copy.deepcopy(first)):
        rule = OPTIMIZERS[optimizer](module.parameters())
        step = step_of(module, rule)
        nx.manual_seed(2)
        step(nx.randn(shape), nx.randint(0, 4, (shape[0],)))
        found.append((module, rule, step))
    return found


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["perceptron", "dropout", "residual"])
def test_a_planned_step_is_the_eager_step(name: str, optimizer: str) -> None:
    (ours, our_rule, our_step), (theirs, their_rule, their_step) = pair(name, optimizer)
    shape = NETWORKS[name][1]
    x, target = nx.randn(shape), nx.randint(0, 4, (shape[0],))
    executable = make_executable(trace_function(our_step, x, target, allow_random=True))
    assert type(executable).__name__ == "Executable", "core's own plan runs it"
    for seed in range(4):
        x, target = nx.randn(shape), nx.randint(0, 4, (shape[0],))
        nx.manual_seed(seed)
        found = executable.run([x, target])
        nx.manual_seed(seed)
        expected = their_step(x, target)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-5)
    for a, b in zip(state_of(ours, our_rule), state_of(theirs, their_rule), strict=True):
        scale = max(float(np.abs(b).max()), 1e-6)
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * scale)


def test_a_step_of_resnet18_is_the_eager_one() -> None:
    """One step: later ones differ by more, since a ReLU that flips changes all that follow."""
    nx.manual_seed(1)
    make, shape = NETWORKS["resnet18"]
    ours = make()
    theirs = copy.deepcopy(ours)
    rules = [OPTIMIZERS["sgd"](module.parameters()) for module in (ours, theirs)]
    our_step, their_step = step_of(ours, rules[0]), step_of(theirs, rules[1])
    x, target = nx.randn(shape), nx.randint(0, 4, (shape[0],))
    executable: Any = make_executable(trace_function(our_step, x, target))
    assert type(executable).__name__ == "Executable", "core's own plan runs it"
    text = executable.describe()
    assert "max_pool2d_backward in blocks" in text
    assert "batch_norm_train+add+relu in blocks" in text
    assert "gt+where+batch_norm_backward in blocks" in text
    assert "to blocks" not in text.replace("adaptive_avg_pool2d_backward to blocks", "")
    found, expected = executable.run([x, target]), their_step(x, target)
    np.testing.assert_allclose(found[0].item(), expected[0].item(), rtol=1e-5)
    names = ours.state_dict()
    states = state_of(ours, rules[0]), state_of(theirs, rules[1])
    for name, a, b in zip(names, *states, strict=True):
        scale = max(float(np.abs(b).max()), 1e-6)
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=3e-5 * scale, err_msg=name)


def test_a_plan_gives_the_same_bits_at_every_run() -> None:
    (ours, our_rule, our_step), _ = pair("residual", "momentum")
    shape = NETWORKS["residual"][1]
    x, target = nx.randn(shape), nx.randint(0, 4, (shape[0],))
    executable = make_executable(trace_function(our_step, x, target))
    before = [value.clone() for value in (*ours.state_dict().values(), *_buffers(our_rule))]
    runs = []
    for _ in range(2):
        with nx.no_grad():
            held = (*ours.state_dict().values(), *_buffers(our_rule))
            for value, was in zip(held, before, strict=True):
                value.copy_(was)
        loss = executable.run([x, target])[0].numpy().copy()
        runs.append([loss, *state_of(ours, our_rule)])
    for a, b in zip(*runs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_inference_plan_follows_planned_steps() -> None:
    """A step writes weights that another plan keeps packed."""
    (ours, _, our_step), _ = pair("residual", "sgd")
    shape = NETWORKS["residual"][1]
    x, target = nx.randn(shape), nx.randint(0, 4, (shape[0],))
    step = make_executable(trace_function(our_step, x, target))
    ours.eval()
    infer = make_executable(nx.graph.trace(ours, x))
    ours.train()
    for _ in range(2):
        step.run([x, target])
        ours.eval()
        with nx.no_grad():
            expected = ours(x).numpy()
        np.testing.assert_allclose(infer.run([x])[0].numpy(), expected, rtol=1e-4, atol=1e-5)
        ours.train()


def _buffers(optimizer: Any) -> list[nx.Tensor]:
    return [value for state in optimizer.state.values() for value in state.values()]


def test_bits_depend_neither_on_threads_nor_on_the_instruction_set(
    instruction_sets: tuple[str, ...],
) -> None:
    """On those with a fused multiply-add, that is."""
    from neurenix_backend_cpu import _native

    shape = NETWORKS["residual"][1]
    now, threads = _native.instruction_set(), _native.threads()
    runs = []
    try:
        fused = [name for name in instruction_sets if name != "portable"]
        for name, count in [(now, 1), *((name, 2) for name in fused)]:
            _native.set_instruction_set(name)
            _native.set_threads(count)
            (ours, our_rule, our_step), _ = pair("residual", "sgd")
            nx.manual_seed(5)
            x, target = nx.randn(shape), nx.randint(0, 4, (shape[0],))
            executable = make_executable(trace_function(our_step, x, target))
            results = [result.numpy().copy() for result in executable.run([x, target])]
            runs.append([*results, *state_of(ours, our_rule)])
    finally:
        _native.set_instruction_set(now)
        _native.set_threads(threads)
    for other in runs[1:]:
        for a, b in zip(runs[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
