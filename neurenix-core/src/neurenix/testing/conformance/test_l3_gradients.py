"""L3: gradients through every op, and a small network that learns as it does on the host."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import neurenix
from neurenix import nn, optim
from neurenix.backends import Device
from neurenix.backends.registry import host_device
from neurenix.ops import cross_entropy
from neurenix.testing import cases
from neurenix.testing.cases import Case
from neurenix.testing.conformance.reporter import chosen_ops
from neurenix.testing.gradients import gradients
from neurenix.testing.tolerances import difference
from neurenix.testing.watched import Watch

_SLACK = 8.0  # a gradient is composed of several ops, each of which rounds


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of every call that gradients flow through."""
    if "case" in metafunc.fixturenames:
        ops = [
            name
            for kind in ("primitive", "composite", "view")
            for name in cases.names(kind, chosen_ops(metafunc.config))
        ]
        metafunc.parametrize("case", list(cases.gradient_cases(ops)), ids=str)


def test_gradients(case: Case, device: Device) -> None:
    """The gradient of a call equals the host's in float64."""
    wanted = gradients(case.call.rounded(case.dtype), host_device())
    with Watch(device):
        found = gradients(case.call.cast(case.dtype), device)
    for number, (ours, theirs) in enumerate(zip(found, wanted, strict=True)):
        assert (ours is None) == (theirs is None), f"of the gradient of input {number} one is None"
        if ours is not None and theirs is not None:
            assert ours.dtype == case.dtype
            wrong = difference(case.call.op, case.dtype, ours, theirs, _SLACK)
            assert wrong is None, f"the gradient of input {number}: {wrong}"


def _network() -> nn.Module:
    neurenix.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, stride=2, groups=2),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(4, 3),
    )


def _losses(device: Device, make: Callable[..., optim.Optimizer]) -> list[float]:
    model = _network()
    model.to(device)
    x = neurenix.randn((6, 1, 8, 8), device=host_device()).to(device)
    labels = neurenix.Tensor([0, 1, 2, 0, 1, 2], device=device)
    optimizer = make([p for p in model.parameters() if p.requires_grad])
    losses = []
    for _ in range(5):
        loss = cross_entropy(model(x), labels, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with neurenix.no_grad():
        return [*losses, *model(x).cpu().numpy().reshape(-1).tolist()]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda ps: optim.AdamW(ps, lr=0.01, weight_decay=0.1), id="AdamW"),
        pytest.param(lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9, nesterov=True), id="SGD"),
    ],
)
def test_a_network_learns_as_on_the_host(
    make: Callable[..., optim.Optimizer], device: Device
) -> None:
    """Five steps with convolutions, norms, dropout and clipping give the host's losses."""
    ours, theirs = _losses(device, make), _losses(host_device(), make)
    assert ours[4] < ours[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_only_what_is_not_frozen_changes(device: Device) -> None:
    """A fine-tune of the last layer leaves the others as they were, to the bit."""
    model = _network()
    model.to(device)
    frozen = dict(list(model.named_parameters())[:-2])
    for parameter in frozen.values():
        parameter.requires_grad = False
    before = {name: np.array(p.numpy()) for name, p in frozen.items()}
    head = [p for p in model.parameters() if p.requires_grad]
    heads = [np.array(p.detach().numpy()) for p in head]
    optimizer = optim.SGD(head, lr=0.1)
    x = neurenix.randn((4, 1, 8, 8), device=device)
    cross_entropy(model(x), neurenix.Tensor([0, 1, 2, 0], device=device)).backward()
    optimizer.step()
    for name, parameter in frozen.items():
        np.testing.assert_array_equal(parameter.numpy(), before[name])
    changed = [not np.array_equal(p.detach().numpy(), h) for p, h in zip(head, heads, strict=True)]
    assert all(changed)
