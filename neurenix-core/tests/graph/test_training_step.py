"""A whole training step as a plan: forward, backward and update."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.graph import Plan, trace_function
from neurenix.nn import functional as F

Step = Callable[..., Any]


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(16, 3),
    )


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda params: neurenix.optim.SGD(params, lr=0.1),
    "momentum": lambda params: neurenix.optim.SGD(
        params, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3
    ),
    "adam": lambda params: neurenix.optim.Adam(params, lr=0.01),
    "adamw": lambda params: neurenix.optim.AdamW(params, lr=0.01, weight_decay=0.1),
}


def step_of(module: nn.Module, optimizer: Any) -> Step:
    def step(x: Tensor, target: Tensor) -> dict[str, Tensor]:
        optimizer.zero_grad()
        logits = module(x)
        loss = F.cross_entropy(logits, target, label_smoothing=0.1)
        loss.backward()
        norm = neurenix.optim.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        return {"loss": loss, "logits": logits, "norm": norm}

    return step


def state_of(module: nn.Module, optimizer: Any) -> list[np.ndarray[Any, Any]]:
    states = [value for state in optimizer.state.values() for value in state.values()]
    return [x.detach().numpy().copy() for x in (*module.state_dict().values(), *states)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_planned_step_is_the_eager_step(name: str) -> None:
    neurenix.manual_seed(1)
    ours = network()
    theirs = copy.deepcopy(ours)
    our_optimizer, their_optimizer = (OPTIMIZERS[name](m.parameters()) for m in (ours, theirs))
    our_step, their_step = step_of(ours, our_optimizer), step_of(theirs, their_optimizer)
    x, target = neurenix.randn((6, 2, 4, 4)), neurenix.randint(0, 3, (6,))
    for step in (our_step, their_step):  # the first step makes the optimizer's state
        neurenix.manual_seed(2)
        step(x, target)

    before = state_of(ours, our_optimizer)
    graph = trace_function(
        our_step, x, target, names=dict(ours.named_parameters()), allow_random=True
    ).validate()
    for was, now in zip(before, state_of(ours, our_optimizer), strict=True):
        np.testing.assert_array_equal(was, now)
    plan = Plan(graph)
    plan.graph.validate()

    losses = []
    for seed in range(3):
        x, target = neurenix.randn((6, 2, 4, 4)), neurenix.randint(0, 3, (6,))
        neurenix.manual_seed(seed)
        found = plan(x, target)
        neurenix.manual_seed(seed)
        expected = their_step(x, target)
        losses.append(found["loss"].item())
        for key in expected:
            np.testing.assert_allclose(
                found[key].numpy(), expected[key].detach().numpy(), rtol=1e-6, atol=1e-6
            )
    states = state_of(ours, our_optimizer), state_of(theirs, their_optimizer)
    for a, b in zip(*states, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert len(set(losses)) == 3


def test_a_changed_learning_rate_reaches_the_plan() -> None:
    weight = nn.Parameter(neurenix.ones((2,)))
    optimizer = neurenix.optim.SGD([weight], lr=1.0)

    def step(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = (weight * x).sum()
        loss.backward()
        optimizer.step()
        return loss

    x = neurenix.ones((2,))
    step(x)
    plan = Plan(trace_function(step, x))
    plan(x)
    assert weight.tolist() == [-1.0, -1.0]
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.sync_lr()
    plan(x)
    assert weight.tolist() == [-1.25, -1.25]


def test_tracing_leaves_gradients_and_versions_alone() -> None:
    weight = nn.Parameter(neurenix.ones((2,)))
    kept = (weight * weight).sum()
    held = neurenix.full((2,), 5.0)
    weight.grad = held

    def step(x: Tensor) -> Tensor:
        weight.grad = None
        (weight * x).sum().backward()
        with neurenix.no_grad():
            weight.copy_(weight - weight.grad)
        return weight.grad

    graph = trace_function(step, neurenix.ones((2,)))
    assert weight.grad is None or weight.grad.tolist() == [5.0, 5.0]
    assert weight.tolist() == [1.0, 1.0]
    kept.backward()  # what it saved was not written
    assert weight.grad is not None
    assert Plan(graph)(neurenix.full((2,), 3.0)).tolist() == [3.0, 3.0]
    assert weight.tolist() == [-2.0, -2.0]


def test_gradients_of_inputs_are_results() -> None:
    def gradient(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        loss = (x * x * y).sum()
        (first,) = neurenix.grad(loss, [x], create_graph=True)
        (second,) = neurenix.grad(first.sum(), [x])
        return loss, first, second

    x, y = Tensor([1.0, -2.0], requires_grad=True), Tensor([3.0, 4.0])
    plan = Plan(trace_function(gradient, x, y).validate())
    for found, expected in zip(plan(x, y), gradient(x, y), strict=True):
        np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), rtol=1e-6)
