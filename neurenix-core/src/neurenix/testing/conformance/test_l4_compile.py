"""L4: compiled modules give what they give eagerly, also after their weights have changed.

Plans in narrower numbers, where the backend has them, give nearly that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.backends import Device
from neurenix.backends.registry import host_device
from neurenix.graph import PrecisionName, available_precisions
from neurenix.graph.compile import compile as compile_module
from neurenix.tensor import Tensor

_RTOL = 1e-4
# How far results may be off, as the root mean square of the difference over that of the results.
_NARROW: dict[PrecisionName, float] = {"bfloat16": 0.03, "int8": 0.15}


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


def _narrow(precision: PrecisionName, device: Device, known: list[Tensor]) -> dict[str, Any]:
    """Return the options of a narrow plan, or skip the test where the backend has none."""
    if precision not in available_precisions(device):
        pytest.skip(f"the backend has no {precision} plans")
    options: dict[str, Any] = {"precision": precision, "fallback": "error"}
    return options | ({"calibration": [tuple(known)]} if precision == "int8" else {})


def _distance(found: Tensor | tuple[Tensor, ...], wanted: Tensor | tuple[Tensor, ...]) -> float:
    ours, theirs = np.array(_first(found).numpy()), np.array(_first(wanted).numpy())
    assert ours.dtype == theirs.dtype == np.float32
    return float(np.sqrt(((ours - theirs) ** 2).mean() / (theirs**2).mean()))


@pytest.mark.parametrize("precision", _NARROW)
@pytest.mark.parametrize("name", _MODULES)
def test_a_narrow_plan_is_close_to_float32(
    name: str, precision: PrecisionName, device: Device
) -> None:
    """It takes and gives float32, follows the weights, and scales int8 by what was measured."""
    model, inputs = _made(name, device)
    inputs = [x * 4.0 for x in inputs]
    with neurenix.no_grad():
        plan = compile_module(model, *inputs, **_narrow(precision, device, inputs))
        for _ in range(2):
            assert _distance(plan(*inputs), model(*inputs)) < _NARROW[precision]
            for parameter in model.parameters():
                parameter.copy_(parameter * 1.5)


@pytest.mark.parametrize("precision", _NARROW)
def test_a_narrow_plan_gives_a_sample_the_same_bits_in_every_batch(
    precision: PrecisionName, device: Device
) -> None:
    """If the backend claims batch invariance."""
    if device.backend is None or not device.backend.batch_invariant:
        pytest.skip("the backend does not claim it")
    model, _ = _made("convolutional", device)
    x = neurenix.randn((9, 1, 8, 8), device=host_device()).to(device)
    with neurenix.no_grad():
        plan = compile_module(model, **_narrow(precision, device, [x]))
        alone = [plan(x[i : i + 1]).numpy()[0].tobytes() for i in range(9)]
        for size in (2, 4, 9):
            assert [row.tobytes() for row in plan(x[:size]).numpy()] == alone[:size]
