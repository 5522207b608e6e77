"""Sequential and ModuleList."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import neurenix
from neurenix import nn


def test_all_ways_to_build() -> None:
    a, b = nn.Linear(2, 2), nn.ReLU()
    for net in (
        nn.Sequential(a, b),
        nn.Sequential([a, b]),
        nn.Sequential((a, b)),
        nn.Sequential(layer for layer in (a, b)),
    ):
        assert [name for name, _ in net.named_children()] == ["0", "1"]
        assert list(net) == [a, b]
    named = nn.Sequential(OrderedDict(fc=a, act=b))
    assert named.fc is a
    assert list(named.state_dict()) == ["fc.weight", "fc.bias"]
    assert len(nn.Sequential()) == 0
    assert list(nn.Sequential(nn.Sequential(a, b))) != [a, b]  # a Sequential is one module


def test_it_runs_in_order() -> None:
    net = nn.Sequential(nn.Linear(2, 1, bias=False), nn.ReLU())
    net[0].load_state_dict({"weight": neurenix.Tensor([[1.0, -1.0]])})
    out = net(neurenix.Tensor([[3.0, 1.0], [1.0, 3.0]]))
    assert out.tolist() == [[2.0], [0.0]]
    x = neurenix.ones((1,))
    assert nn.Sequential()(x) is x


def test_indexing_and_slicing() -> None:
    layers = [nn.ReLU(), nn.Tanh(), nn.Sigmoid()]
    net = nn.Sequential(layers)
    assert net[0] is layers[0]
    assert net[-1] is layers[2]
    part = net[1:]
    assert isinstance(part, nn.Sequential)
    assert [name for name, _ in part.named_children()] == ["1", "2"]
    assert list(part) == layers[1:]
    with pytest.raises(IndexError, match="index 3 is out of range: Sequential holds 3 modules"):
        net[3]
    items = nn.ModuleList(layers)[:2]
    assert isinstance(items, nn.ModuleList)
    assert list(items) == layers[:2]
    assert layers[0] in items
    assert nn.ReLU() not in items


def test_changing() -> None:
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    net = nn.Sequential(a)
    assert net.append(c) is net
    net.insert(1, b)
    assert list(net) == [a, b, c]
    del net[0]
    assert [name for name, _ in net.named_children()] == ["0", "1"]
    assert list(net) == [b, c]
    net[-1] = a
    assert list(net) == [b, a]
    net.extend([c, c])
    assert len(net) == 4
    del net[1:3]
    assert list(net) == [b, c]
    named = nn.Sequential({"x": a, "y": b})
    del named[0]
    assert [name for name, _ in named.named_children()] == ["y"]
    with pytest.raises(ValueError, match="these have names: y"):
        named.insert(0, a)


def test_only_modules_are_held() -> None:
    with pytest.raises(TypeError, match=r"item 1 of Sequential.*its class was given; call it"):
        nn.Sequential(nn.ReLU(), nn.ReLU)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="item 0 of ModuleList must be a Module"):
        nn.ModuleList([3])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="already has an attribute 'append'"):
        nn.Sequential({"append": nn.ReLU()})


def test_a_module_list_registers_and_does_not_run() -> None:
    items = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    assert len(list(items.parameters())) == 4
    assert repr(items).startswith("ModuleList(\n  (0): Linear(")
    with pytest.raises(NotImplementedError, match="ModuleList does not define forward"):
        items(1)
