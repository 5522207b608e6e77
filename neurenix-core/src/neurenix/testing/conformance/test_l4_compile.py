"""L4: compiled modules give what they give eagerly, also after their weights have changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.backends import Device
from neurenix.backends.registry import host_device
from neurenix.graph.compile import compile as compile_module
from neurenix.tensor import Tensor

_RTOL = 1e-4


class _Residual(nn.Module):
    """Two convolutions with a detour around them, as in a ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        inner = neurenix.relu(self.bn1(self.conv1(x)))
        return neurenix.relu(self.bn2(self.conv2(inner)) + x)


def _convolutional() -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        _Residual(),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def _perceptron() -> Any:
    return nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 5))


def _attention() -> Any:
    return nn.MultiheadAttention(8, 2)


_MODULES: dict[str, tuple[Callable[[], Any], tuple[int, ...], int]] = {
    "perceptron": (_perceptron, (3, 8), 1),
    "convolutional": (_convolutional, (2, 1, 8, 8), 1),
    "attention": (_attention, (2, 5, 8), 3),
}


def _made(name: str, device: Device) -> tuple[Any, list[Tensor]]:
    make, shape, count = _MODULES[name]
    neurenix.manual_seed(1)
    model: Any = make()
    model.to(device)
    model.eval()
    x = neurenix.randn(shape, device=host_device()).to(device)
    return model, [x] * count


def _first(result: Tensor | tuple[Tensor, ...]) -> Tensor:
    return result[0] if isinstance(result, tuple) else result


@pytest.mark.parametrize("name", _MODULES)
def test_a_plan_equals_the_eager_run(name: str, device: Device) -> None:
    """One plan serves several inputs, and follows the weights."""
    model, inputs = _made(name, device)
    with neurenix.no_grad():
        compiled = compile_module(model, *inputs, fallback="error")
        for turn in range(3):
            ours = np.array(_first(compiled(*inputs)).numpy())
            theirs = np.array(_first(model(*inputs)).numpy())
            scale = float(np.abs(theirs).max())
            np.testing.assert_allclose(ours, theirs, rtol=_RTOL, atol=_RTOL * scale)
            if turn == 0:
                inputs = [x * 0.5 + 0.25 for x in inputs]
            else:
                for parameter in model.parameters():
                    parameter.copy_(parameter * 0.9)


@pytest.mark.parametrize("name", _MODULES)
def test_a_plan_leaves_inputs_and_earlier_results_alone(name: str, device: Device) -> None:
    """Memory is planned, and never that of a caller."""
    model, inputs = _made(name, device)
    kept = [np.array(x.numpy()) for x in inputs]
    with neurenix.no_grad():
        compiled = compile_module(model, *inputs, fallback="error")
        first = _first(compiled(*inputs))
        before = np.array(first.numpy())
        compiled(*[x * 2.0 for x in inputs])
        np.testing.assert_array_equal(first.numpy(), before)
    for x, values in zip(inputs, kept, strict=True):
        np.testing.assert_array_equal(x.numpy(), values)
