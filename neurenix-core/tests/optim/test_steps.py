"""SGD, Adam and AdamW against their formulas in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.nn import Parameter
from neurenix.optim import SGD, Adam, AdamW

RNG = np.random.default_rng(3)
START = RNG.standard_normal((4, 3))
GRADS = RNG.standard_normal((6, 4, 3))


def run(optimizer: Any, param: Parameter) -> np.ndarray:
    for grad in GRADS:
        param.grad = Tensor(grad.astype(param.dtype))
        optimizer.step()
    return param.detach().numpy()


def sgd(lr: float, momentum: float, dampening: float, decay: float, nesterov: bool) -> np.ndarray:
    p, b = START.copy(), None
    for grad in GRADS:
        g = grad + decay * p
        if momentum:
            b = g if b is None else momentum * b + (1 - dampening) * g
            g = g + momentum * b if nesterov else b
        p = p - lr * g
    return p


def adam(lr: float, betas: Any, eps: float, decay: float, decoupled: bool) -> np.ndarray:
    p, m, v = START.copy(), np.zeros_like(START), np.zeros_like(START)
    for t, grad in enumerate(GRADS, 1):
        g = grad if decoupled else grad + decay * p
        if decoupled:
            p = p * (1 - lr * decay)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        p = p - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return p


@pytest.mark.parametrize("dtype", [neurenix.float32, neurenix.float64])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("dampening", [0.0, 0.5])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_sgd(dtype: Any, momentum: float, dampening: float, decay: float) -> None:
    param = Parameter(Tensor(START, dtype=dtype))
    tolerance = 1e-12 if dtype == neurenix.float64 else 1e-5
    optimizer = SGD([param], 0.1, momentum=momentum, dampening=dampening, weight_decay=decay)
    expected = sgd(0.1, momentum, dampening, decay, False)
    np.testing.assert_allclose(run(optimizer, param), expected, rtol=tolerance, atol=tolerance)


def test_sgd_nesterov() -> None:
    param = Parameter(Tensor(START, dtype=neurenix.float32))
    optimizer = SGD([param], lr=0.1, momentum=0.8, weight_decay=0.1, nesterov=True)
    expected = sgd(0.1, 0.8, 0.0, 0.1, True)
    np.testing.assert_allclose(run(optimizer, param), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "decoupled"), [(Adam, False), (AdamW, True)])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [neurenix.float32, neurenix.float64])
def test_adam(kind: Any, decoupled: bool, decay: float, dtype: Any) -> None:
    param = Parameter(Tensor(START, dtype=dtype))
    tolerance = 1e-12 if dtype == neurenix.float64 else 1e-5
    optimizer = kind([param], lr=0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=decay)
    expected = adam(0.05, (0.8, 0.95), 1e-3, decay, decoupled)
    np.testing.assert_allclose(run(optimizer, param), expected, rtol=tolerance, atol=tolerance)


def test_weight_decay_of_adamw_is_on_by_default() -> None:
    assert AdamW([Parameter([1.0])]).param_groups[0]["weight_decay"] == 1e-2
    assert Adam([Parameter([1.0])]).param_groups[0]["weight_decay"] == 0


def test_identity_survives_a_step() -> None:
    layer = nn.Linear(2, 1)
    weight, buffer = layer.weight, layer.weight.buffer
    optimizer = SGD(layer.parameters(), lr=0.1)
    layer(neurenix.ones((1, 2))).sum().backward()
    optimizer.step()
    assert layer.weight is weight
    assert layer.weight.buffer is buffer
    assert weight.requires_grad


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.05, momentum=0.9), lambda p: Adam(p, 0.05)])
def test_a_network_learns(make: Any) -> None:
    neurenix.manual_seed(0)
    x = neurenix.randn((64, 2))
    target = (x[:, 0] * x[:, 1] > 0).astype(neurenix.int64)
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    optimizer, loss = make(net.parameters()), nn.CrossEntropyLoss()
    values = []
    for _ in range(150):
        optimizer.zero_grad()
        value = loss(net(x), target)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.3 * values[0]
    assert (net(x).argmax(1) == target).float().mean().item() > 0.9
