"""The optimizer kernels against the formulas of their papers, element by element, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurenix.backends.numpy.optimizer import adam_step, sgd_momentum_step, sgd_step

SIZE = 40_000  # more than one block


def arrays(count: int) -> list[Any]:
    rng = np.random.default_rng(11)
    return [rng.standard_normal(SIZE) for _ in range(count)]


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_sgd(weight_decay: float) -> None:
    param, grad = arrays(2)
    expected = param - 0.5 * (grad + weight_decay * param)
    sgd_step(param, param, grad, np.float32(0.5), weight_decay=weight_decay)
    np.testing.assert_allclose(param, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(("dampening", "nesterov"), [(0.0, False), (0.3, False), (0.0, True)])
def test_sgd_with_momentum(weight_decay: float, dampening: float, nesterov: bool) -> None:
    param, buffer, *grads = arrays(5)
    expected, velocity = param.copy(), None
    for step, grad in enumerate(grads):
        g = grad + weight_decay * expected
        velocity = g if velocity is None else 0.9 * velocity + (1 - dampening) * g
        expected = expected - 0.5 * (g + 0.9 * velocity if nesterov else velocity)
        sgd_momentum_step(
            (param, buffer),
            param,
            grad,
            buffer,
            np.float32(0.5),
            momentum=0.9,
            dampening=dampening,
            nesterov=nesterov,
            weight_decay=weight_decay,
            first_step=step == 0,
        )
        np.testing.assert_allclose(param, expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(buffer, velocity, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("decoupled", [False, True])
def test_adam(weight_decay: float, decoupled: bool) -> None:
    param, *grads = arrays(4)
    first, second = np.zeros(SIZE), np.zeros(SIZE)
    expected, m, v = param.copy(), np.zeros(SIZE), np.zeros(SIZE)
    lr = np.float32(0.25)
    for step, g in enumerate(grads, start=1):
        grad = g.copy()
        if decoupled:
            expected = expected * (1 - 0.25 * weight_decay)
        else:
            g = g + weight_decay * expected
        m = 0.8 * m + (1 - 0.8) * g
        v = 0.95 * v + (1 - 0.95) * g * g
        corrected = (m / (1 - 0.8**step)) / (np.sqrt(v / (1 - 0.95**step)) + 1e-3)
        expected = expected - 0.25 * corrected
        adam_step(
            (param, first, second),
            param,
            grad,
            first,
            second,
            lr,
            np.float32(step),
            beta1=0.8,
            beta2=0.95,
            eps=1e-3,
            weight_decay=weight_decay,
            decoupled=decoupled,
        )
        np.testing.assert_allclose(param, expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(first, m, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(second, v, rtol=1e-12, atol=1e-12)


def test_16_bit_parameters_step_in_float32() -> None:
    param = np.array([1.0, 2.0], np.float16)
    sgd_step(param, param, np.array([0.5, 1e-3], np.float16), np.float32(0.1), weight_decay=0.0)
    np.testing.assert_array_equal(param, np.float16([0.95, 2 - 1e-4]))
