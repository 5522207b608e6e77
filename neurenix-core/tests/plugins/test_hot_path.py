"""No op calls a hook: pluggy takes a microsecond, and a small op no longer than that."""

from __future__ import annotations

from typing import Any

import pytest

import neurenix as nx
from neurenix import nn, optim
from neurenix.plugins import PluginManager, plugin_manager


def forbid(*arguments: Any, **options: Any) -> Any:
    raise AssertionError("a hook was called")


class Forbidden:
    """A hook that nobody may even look at."""

    def __getattr__(self, name: str) -> Any:
        return forbid()

    __call__ = staticmethod(forbid)


@pytest.fixture
def model() -> nn.Module:
    nx.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten())


def step(model: nn.Module, optimizer: optim.Optimizer, x: nx.Tensor) -> float:
    loss = (model(x) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss)


def test_ops_call_no_hook(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer = optim.Adam(model.parameters())
    step(model, optimizer, nx.ones((1, 1, 4, 4)))  # devices are open, kernels have been found

    with monkeypatch.context() as patch:
        patch.setattr(PluginManager, "each", forbid)
        for name in list(vars(plugin_manager().hook)):  # pytest has hooks of its own, which stay
            patch.setattr(plugin_manager().hook, name, Forbidden())
        with pytest.raises(AssertionError, match="a hook was called"):
            plugin_manager().hook.neurenix_register_kernels(device_type="cpu")
        assert step(model, optimizer, nx.rand((2, 1, 5, 5))) > 0  # other shapes
        with nx.no_grad():
            x = nx.Tensor([1.0, 2.0])
            assert (x + x * 2 - 1).tolist() == [2, 5]
            assert (x.double() + 1).sum().item() == 5  # another dtype: a lookup that misses
            assert (nx.arange(3) + x[0]).tolist() == [1, 2, 3]
        example = nx.ones((1, 1, 4, 4))
        assert nx.compile(model.eval(), example)(example).shape == (1, 8)


def test_attributes_of_tensors_are_found_at_once() -> None:
    """With `__getattr__` a small op takes a fifth longer: benchmarks/dispatch.py."""
    assert not hasattr(nx.Tensor, "__getattr__")
    assert nx.Tensor.__getattribute__ is object.__getattribute__
