"""Training steps: forward, cross entropy, backward, SGD with momentum, by Neurenix and PyTorch.

Each step is a function without arguments that returns the loss, and trains a network of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from peer import Contenders

import neurenix

Array = np.ndarray[Any, Any]
Step = Callable[[], float]

LR, MOMENTUM = 0.01, 0.9


def ours(network: Any, inputs: Array, labels: Array, *, compiled: bool) -> Step:
    """Return our step on these inputs; compiled, the whole of it is one plan."""
    network.train()
    optimizer = neurenix.optim.SGD(network.parameters(), lr=LR, momentum=MOMENTUM)
    x, target = neurenix.from_numpy(inputs), neurenix.from_numpy(labels)

    def step(x: neurenix.Tensor, target: neurenix.Tensor) -> neurenix.Tensor:
        optimizer.zero_grad()
        loss = neurenix.nn.functional.cross_entropy(network(x), target)
        loss.backward()
        optimizer.step()
        return loss

    if not compiled:
        return lambda: step(x, target).item()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    step(x, target)  # the first step makes the optimizer's state; the trace needs it
    network.load_state_dict(before)
    for state in optimizer.state.values():
        state["momentum_buffer"].zero_()
    optimizer.zero_grad()
    run = _compile(step, x, target)
    return lambda: run(x, target).item()


def _compile(step: Callable[..., Any], *examples: neurenix.Tensor) -> Callable[..., Any]:
    """Return a step as one plan, by `neurenix.compile` where that takes functions."""
    try:
        return neurenix.compile(step, *examples, fallback="error")
    except TypeError as error:
        if "takes a module" not in str(error):
            raise
    plan = neurenix.graph.make_executable(neurenix.graph.trace_function(step, *examples))
    return lambda *inputs: plan.run(inputs)[0]


def theirs(
    network: Any,
    inputs: Array,
    labels: Array,
    *,
    compiled: bool = False,
    channels_last: bool = False,
) -> Step:
    """Return PyTorch's step on these inputs, with its fused optimizer."""
    import torch

    x, target = torch.from_numpy(inputs), torch.from_numpy(labels)
    network.train()
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=LR, momentum=MOMENTUM, fused=True)
    forward = torch.compile(network) if compiled else network
    loss_fn = torch.nn.CrossEntropyLoss()

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_fn(forward(x), target)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def check(steps: Contenders, results: Any, *, tolerance: float, count: int = 3) -> None:
    """Run every contender's first steps, and end the script where their losses differ."""
    losses: dict[str, list[float]] = {}
    for name in list(steps.ready):

        def first(run: Step = steps.ready[name]) -> list[float]:
            return [run() for _ in range(count)]

        ran = Contenders()
        ran.add(name, first)  # what is compiled may fail only now
        if ran.ready:
            losses[name] = ran.ready[name]
        else:
            del steps.ready[name]
            steps.left_out.update(ran.left_out)
    expected = np.array(losses["neurenix eager"])
    for name, found in losses.items():
        apart = float(np.abs(np.array(found) - expected).max() / np.abs(expected).max())
        results.remark(f"{name}: losses of {count} steps at most {apart:.1e} from neurenix eager's")
        if not apart < tolerance:
            sys.exit(f"the losses differ ({found}, {losses}): timing them would mean nothing")
    for name, reason in steps.left_out.items():
        results.remarks.append(f"{name} is left out: {reason}")


def start(state: Mapping[str, Array]) -> dict[str, neurenix.Tensor]:
    """Return a state as tensors of its own, for a network to load."""
    return {name: neurenix.from_numpy(value.copy()) for name, value in state.items()}
