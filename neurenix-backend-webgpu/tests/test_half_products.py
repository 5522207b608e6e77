"""Products of float16: in tiles of it where shaders have it, else of float32, to the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix.backends import resolve
from neurenix.nn import functional as F


@pytest.fixture
def with_tiles() -> Iterator[Callable[[bool], None]]:
    """Return a function that says whether tiles are of float16."""
    device: Any = resolve("webgpu").backend.device(0)
    if not device.uses_half:
        pytest.skip("the adapter has no shader-f16")
    yield device.set_half
    device.set_half(True)


def _half(*shape: int, seed: int = 0) -> nx.Tensor:
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float16)
    return nx.Tensor(values, device="webgpu")


def _convolved() -> tuple[nx.Tensor, ...]:
    x, weight = _half(2, 20, 19, 17), _half(40, 10, 3, 3, seed=1)
    x.requires_grad_()
    weight.requires_grad_()
    out = F.conv2d(x, weight, stride=2, padding=1, groups=2)
    (out * out).sum().backward()
    assert x.grad is not None
    assert weight.grad is not None
    return out.detach(), x.grad, weight.grad


CALLS: dict[str, Callable[[], tuple[nx.Tensor, ...]]] = {
    "matmul": lambda: (_half(2, 70, 51) @ _half(51, 130, seed=1),),
    "transposed": lambda: (_half(51, 70).T @ _half(130, 51, seed=1).T,),
    "linear": lambda: (F.linear(_half(70, 51), _half(130, 51, seed=1), _half(130, seed=2)),),
    "conv2d": _convolved,
}


@pytest.mark.parametrize("name", CALLS)
def test_both_kinds_of_tiles_give_the_same_bits(
    with_tiles: Callable[[bool], None], name: str
) -> None:
    results = []
    for half in (True, False):
        with_tiles(half)
        results.append([tensor.numpy().view(np.uint16) for tensor in CALLS[name]()])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)
