"""Clipping of gradients by norm and by value."""

from __future__ import annotations

import math

import numpy as np
import pytest

import neurenix
from neurenix import Tensor
from neurenix.nn import Parameter
from neurenix.optim import NonFiniteGradientError, clip_grad_norm_, clip_grad_value_

GRADS = [np.array([3.0, -4.0]), np.array([[12.0]])]


def params() -> list[Parameter]:
    tensors = [Parameter(np.zeros_like(grad)) for grad in GRADS]
    for tensor, grad in zip(tensors, GRADS, strict=True):
        tensor.grad = Tensor(grad)
    return [*tensors, Parameter([1.0])]  # the last has no gradient


@pytest.mark.parametrize(
    ("kind", "norm"),
    [(2.0, 13.0), (1.0, 19.0), (math.inf, 12.0), (3, (27 + 64 + 1728) ** (1 / 3))],
)
def test_norms(kind: float, norm: float) -> None:
    tensors = params()
    total = clip_grad_norm_(iter(tensors), 1.0, kind)
    assert total.shape == ()
    assert total.item() == pytest.approx(norm)
    for tensor, grad in zip(tensors, GRADS, strict=False):
        np.testing.assert_allclose(tensor.grad.numpy(), grad / norm, rtol=1e-6)
    assert tensors[2].grad is None


def test_small_gradients_stay() -> None:
    tensors = params()
    clip_grad_norm_(tensors, 14.0)
    for tensor, grad in zip(tensors, GRADS, strict=False):
        np.testing.assert_array_equal(tensor.grad.numpy(), grad)


def test_one_gradient_of_two_parameters_is_scaled_once() -> None:
    first, second = Parameter([0.0]), Parameter([0.0])
    first.grad = second.grad = Tensor([3.0])
    assert clip_grad_norm_([first, second], 1.0).item() == pytest.approx(math.sqrt(18))
    assert first.grad.item() == pytest.approx(3 / math.sqrt(18), rel=1e-5)
    assert second.grad.item() == pytest.approx(3 / math.sqrt(18), rel=1e-5)


def test_a_single_tensor_and_none() -> None:
    tensor = params()[0]
    assert clip_grad_norm_(tensor, 1.0).item() == pytest.approx(5.0)
    assert clip_grad_norm_([], 1.0).item() == 0.0
    assert clip_grad_norm_([Parameter([1.0])], 1.0).item() == 0.0


def test_a_norm_that_is_not_finite() -> None:
    tensor = Parameter([0.0, 0.0])
    tensor.grad = Tensor([math.inf, 1.0])
    with pytest.raises(NonFiniteGradientError, match="the norm of the gradients is inf"):
        clip_grad_norm_([tensor], 1.0, error_if_nonfinite=True)
    assert tensor.grad.tolist() == [math.inf, 1.0]
    assert clip_grad_norm_([tensor], 1.0).item() == math.inf


def test_half_precision_does_not_overflow() -> None:
    tensor = Parameter(neurenix.zeros((4,), dtype=neurenix.float16))
    tensor.grad = neurenix.full((4,), 300.0, dtype=neurenix.float16)
    assert clip_grad_norm_([tensor], 1.0).item() == pytest.approx(600.0)
    assert tensor.grad.dtype == neurenix.float16
    np.testing.assert_allclose(tensor.grad.numpy().astype(np.float32), 0.5, rtol=1e-3)


def test_values() -> None:
    tensors = params()
    clip_grad_value_(tensors, 3.5)
    assert tensors[0].grad.tolist() == [3.0, -3.5]
    assert tensors[1].grad.tolist() == [[3.5]]
    with pytest.raises(ValueError, match="clip_value is not negative; got -1"):
        clip_grad_value_(tensors, -1)
