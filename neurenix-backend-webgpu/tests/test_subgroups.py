"""Rows that teams of invocations share: with subgroups and without, to the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix.backends import resolve
from neurenix.nn import functional as F


@pytest.fixture
def device() -> Iterator[Any]:
    device: Any = resolve("webgpu").backend.device(0)
    if device.lanes == 0:
        pytest.skip("the adapter has no subgroups, or none of neighbours")
    yield device
    device.set_lanes(None)


def _random(*shape: int, seed: int = 0) -> nx.Tensor:
    array = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return nx.Tensor(array, device="webgpu")


def _gradient(function: Callable[[nx.Tensor], nx.Tensor], x: nx.Tensor) -> list[nx.Tensor]:
    x = x.detach().requires_grad_()
    out = function(x)
    (out * _random(*out.shape, seed=2)).sum().backward()
    assert x.grad is not None
    return [out.detach(), x.grad]


def _normalised(x: nx.Tensor) -> nx.Tensor:
    width = x.shape[-1]
    return F.layer_norm(x, (width,), _random(width, seed=1), _random(width, seed=3))


CALLS: dict[str, Callable[[nx.Tensor], list[nx.Tensor]]] = {
    "softmax": lambda x: _gradient(lambda x: nx.softmax(x, -1), x),
    "log_softmax": lambda x: _gradient(lambda x: nx.log_softmax(x, -1), x),
    "layer_norm": lambda x: _gradient(_normalised, x),
    "attention": lambda x: [nx.scaled_dot_product_attention(x[:5, :9], x[:, :9], x[:, :3])],
}


# Teams of 16, 64 and 256 invocations.
@pytest.mark.parametrize("width", [30, 500, 3000])
@pytest.mark.parametrize("name", CALLS)
def test_the_bits_do_not_depend_on_subgroups(device: Any, name: str, width: int) -> None:
    x = _random(7, width)
    if name == "attention":
        x = _random(width, 20)  # so many keys
    found = []
    for lanes in (None, 4, 0):
        device.set_lanes(lanes)
        found.append([tensor.numpy().view(np.uint32) for tensor in CALLS[name](x)])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert (found[0][0] != 0).any()
