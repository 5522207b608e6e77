"""Convolutions whose groups are too narrow for tiles: one channel each, or a few."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix.nn import functional as F

Array = np.ndarray[Any, Any]
# Channels, features, groups; what the windows are like.
CASES: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {
    "depthwise": ((20, 20, 20), {"padding": 1}),
    "depthwise with stride": ((12, 12, 12), {"stride": 2, "padding": 1}),
    "two features a channel": ((10, 20, 10), {"padding": 2, "dilation": 2}),
    "groups of a few": ((24, 18, 6), {"stride": (1, 2), "padding": (0, 2)}),
    "few channels, many features": ((3, 40, 1), {"padding": 1}),
    "many channels, few features": ((40, 3, 1), {"padding": 1}),
}


def _random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", CASES)
def test_results_and_gradients_are_those_of_the_cpu(name: str) -> None:
    (channels, features, groups), windows = CASES[name]
    arrays = [_random(3, channels, 13, 11), _random(features, channels // groups, 3, 3, seed=1)]
    arrays.append(_random(features, seed=2))
    results = []
    for device in ("webgpu", "cpu"):
        tensors = [nx.Tensor(array, device=device, requires_grad=True) for array in arrays]
        out = F.conv2d(*tensors, groups=groups, **windows)
        (out * out).sum().backward()
        results.append(
            [out.detach().numpy(), *(t.grad.numpy() for t in tensors if t.grad is not None)]
        )
    assert len(results[0]) == 4
    for found, expected in zip(*results, strict=True):
        scale = float(np.abs(expected).max())
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6 * scale)


def _bits(tensor: nx.Tensor) -> Array:
    return np.ascontiguousarray(tensor.numpy()).view(np.uint32)


def test_sums_have_the_bits_of_those_in_tiles() -> None:
    """Beside others a feature is computed in tiles, alone it is not; so a channel's gradient."""
    x = nx.Tensor(_random(2, 12, 9, 10), device="webgpu")
    weight = nx.Tensor(_random(16, 12, 3, 3, seed=1), device="webgpu")
    with nx.no_grad():
        wide = F.conv2d(x, weight, padding=1)
        np.testing.assert_array_equal(_bits(F.conv2d(x, weight[:5], padding=1)), _bits(wide[:, :5]))
    gradients = []
    for channels in (12, 5):
        part = x[:, :channels].detach().requires_grad_()
        out = F.conv2d(part, weight[:, :channels], stride=2, padding=1)
        out.backward(nx.ones(out.shape, device="webgpu"))
        assert part.grad is not None
        gradients.append(_bits(part.grad[:, :5]))
    np.testing.assert_array_equal(*gradients)
