"""Registration, traversal, copies and descriptions of modules."""

from __future__ import annotations

import copy
import gc

import numpy as np
import pytest

import neurenix
from neurenix import Generator, Tensor, nn
from neurenix.nn import Module, Parameter


class Block(Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.act = nn.ReLU()
        self.scale = Parameter(neurenix.ones((3,)))
        self.register_buffer("count", neurenix.zeros((1,)))
        self.register_buffer("scratch", neurenix.zeros((2,)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.linear(x)) * self.scale


class Net(Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = Block()
        self.second = Block()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


def test_walks_are_in_order_of_registration() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "first.scale",
        "first.linear.weight",
        "first.linear.bias",
        "second.scale",
        "second.linear.weight",
        "second.linear.bias",
    ]
    assert [name for name, _ in net.named_buffers()] == [
        "first.count",
        "first.scratch",
        "second.count",
        "second.scratch",
    ]
    assert [name for name, _ in net.named_modules()] == [
        "",
        "first",
        "first.linear",
        "first.act",
        "second",
        "second.linear",
        "second.act",
    ]
    assert [name for name, _ in net.named_children()] == ["first", "second"]
    assert [name for name, _ in net.first.named_parameters(prefix="x", recurse=False)] == [
        "x.scale"
    ]
    assert len(list(net.parameters())) == 6


def test_shared_parts_come_up_once() -> None:
    net = Net()
    net.second = net.first
    net.tied = net.first.linear.weight
    assert len(list(net.parameters())) == 3
    assert len(list(net.modules())) == 4
    assert len(list(net.children())) == 1
    names = [name for name, _ in net.named_parameters(remove_duplicate=False)]
    assert "second.linear.weight" in names
    assert "tied" in names
    assert sorted(net.state_dict()) == sorted(
        f"{block}.{key}"
        for block in ("first", "second")
        for key in ("scale", "count", "linear.weight", "linear.bias")
    ) + ["tied"]


def test_a_module_works_without_super_init() -> None:
    class Lazy(Module):
        def __init__(self) -> None:
            self.weight = Parameter(neurenix.ones((2,)))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.weight

    lazy = Lazy()
    assert [name for name, _ in lazy.named_parameters()] == ["weight"]
    assert lazy(neurenix.ones((2,))).tolist() == [1.0, 1.0]


def test_assignment_keeps_the_kind_of_an_attribute() -> None:
    block = Block()
    with pytest.raises(TypeError, match=r"Block\.scale is a parameter; assign an nn\.Parameter"):
        block.scale = neurenix.ones((3,))
    with pytest.raises(TypeError, match=r"Block\.linear is a child module.*not a function"):
        block.linear = lambda x: x
    with pytest.raises(TypeError, match=r"Block\.count is a buffer.*not a int"):
        block.count = 3
    replaced = neurenix.ones((1,))
    block.count = replaced
    assert dict(block.named_buffers())["count"] is replaced
    block.scale = None
    assert "scale" not in dict(block.named_parameters())
    block.scale = Parameter(neurenix.ones((3,)))
    assert "scale" in dict(block.named_parameters())


def test_a_new_kind_takes_a_name_over() -> None:
    block = Block()
    block.linear = Parameter(neurenix.ones((1,)))
    assert [name for name, _ in block.named_children()] == ["act"]
    assert "linear" in dict(block.named_parameters())
    block.plain = 3
    block.plain = nn.ReLU()
    assert "plain" in dict(block.named_children())


def test_deletion() -> None:
    block = Block()
    del block.scale, block.linear, block.count
    assert list(block.named_parameters()) == []
    assert [name for name, _ in block.named_buffers()] == ["scratch"]
    assert not hasattr(block, "linear")
    with pytest.raises(AttributeError):
        del block.scale


@pytest.mark.parametrize("name", ["", "a.b", 3])
def test_names_must_fit_into_paths(name: object) -> None:
    with pytest.raises(ValueError, match="cannot name a part of a module"):
        Module().register_buffer(name, neurenix.zeros((1,)))  # type: ignore[arg-type]


def test_names_of_methods_are_refused() -> None:
    with pytest.raises(ValueError, match="already has an attribute 'train'"):
        Module().register_module("train", nn.ReLU())
    with pytest.raises(ValueError, match="already has an attribute 'forward'"):
        Module().forward = nn.ReLU()  # type: ignore[method-assign, assignment]


def test_registration_checks_types() -> None:
    module = Module()
    with pytest.raises(TypeError, match=r"must be an nn\.Parameter, not a Tensor"):
        module.register_parameter("w", neurenix.zeros((1,)))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be a Tensor, not a list"):
        module.register_buffer("b", [1.0])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be a Module, not a type"):
        module.register_module("m", nn.ReLU)  # type: ignore[arg-type]


def test_paths() -> None:
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("first.linear") is net.first.linear
    assert net.get_parameter("first.linear.weight") is net.first.linear.weight
    assert net.get_buffer("second.count") is net.second.count
    with pytest.raises(AttributeError, match=r"Block at 'first' has no child 'conv'.*linear, act"):
        net.get_submodule("first.conv")
    with pytest.raises(AttributeError, match="has no parameter 'wieght'; its parameters: weight"):
        net.get_parameter("first.linear.wieght")


def test_repr_is_nested() -> None:
    assert repr(Net()) == (
        "Net(\n"
        "  (first): Block(\n"
        "    (linear): Linear(in_features=3, out_features=3, bias=True)\n"
        "    (act): ReLU()\n"
        "  )\n"
        "  (second): Block(\n"
        "    (linear): Linear(in_features=3, out_features=3, bias=True)\n"
        "    (act): ReLU()\n"
        "  )\n"
        ")"
    )


def test_modules_without_forward_say_so() -> None:
    with pytest.raises(NotImplementedError, match=r"Module does not define forward\(\)"):
        Module()(1)


def test_apply_visits_children_first() -> None:
    seen: list[str] = []
    Block().apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "ReLU", "Block"]


def test_requires_grad_and_zero_grad() -> None:
    net = Net()
    net(neurenix.ones((2, 3))).sum().backward()
    assert all(param.grad is not None for param in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(not param.grad.numpy().any() for param in net.parameters())
    net.zero_grad()
    assert all(param.grad is None for param in net.parameters())
    net.first.requires_grad_(False)
    assert {name for name, param in net.named_parameters() if param.requires_grad} == {
        "second.scale",
        "second.linear.weight",
        "second.linear.bias",
    }


def test_deep_copies_share_nothing() -> None:
    net = Net()
    net.second.linear.weight = net.first.linear.weight
    net.eval()
    net.first.requires_grad_(False)
    twin = copy.deepcopy(net)
    assert isinstance(twin.first.scale, Parameter)
    assert twin.second.linear.weight is twin.first.linear.weight
    assert not twin.training
    assert not twin.first.scale.requires_grad
    for (name, ours), (other, theirs) in zip(
        net.named_parameters(), twin.named_parameters(), strict=True
    ):
        assert name == other
        assert ours is not theirs
        np.testing.assert_array_equal(ours.detach().numpy(), theirs.detach().numpy())
    with neurenix.no_grad():
        twin.first.scale.fill_(7.0)
    assert net.first.scale.tolist() == [1.0, 1.0, 1.0]
    del twin.first
    assert net.first is not None


def test_a_copied_generator_goes_on_from_where_it_was() -> None:
    layer = nn.Dropout(0.5, generator=Generator(3))
    x = neurenix.ones((64,))
    layer(x)
    twin = copy.deepcopy(layer)
    assert twin.generator is not layer.generator
    np.testing.assert_array_equal(twin(x).numpy(), layer(x).numpy())


def test_shallow_copies_have_tables_of_their_own() -> None:
    net = Net()
    twin = copy.copy(net)
    twin.third = nn.ReLU()
    del twin.first
    assert [name for name, _ in net.named_children()] == ["first", "second"]
    assert [name for name, _ in twin.named_children()] == ["second", "third"]
    assert twin.second is net.second


def test_children_do_not_keep_their_parents_alive() -> None:
    block = Block()
    holder = nn.Sequential(block)
    gc.collect()
    before = [ref() for ref in block._parents.values()]
    assert before == [holder]
    del holder, before
    assert [ref() for ref in block._parents.values() if ref() is not None] == []


def test_parameters_share_the_storage_they_are_given() -> None:
    tensor = neurenix.zeros((2,))
    param = Parameter(tensor)
    assert param.requires_grad
    assert not tensor.requires_grad
    tensor.fill_(3.0)
    assert param.tolist() == [3.0, 3.0]
    assert Parameter([1.0, 2.0], requires_grad=False).tolist() == [1.0, 2.0]
    assert repr(Parameter([1.0])) == "Parameter(Tensor([1.], requires_grad=True))"
    assert not isinstance(param * 1.0, Parameter)


def test_to_casts_what_is_floating_and_keeps_identity() -> None:
    norm = nn.BatchNorm1d(2)
    weight, mean = norm.weight, norm.running_mean
    norm(neurenix.randn((4, 2))).sum().backward()
    assert norm.to(neurenix.float64) is norm
    assert norm.weight is weight
    assert norm.running_mean is mean
    assert weight.dtype == neurenix.float64
    assert weight.grad.dtype == neurenix.float64
    assert weight.requires_grad
    assert mean.dtype == neurenix.float64
    assert norm.num_batches_tracked.dtype == neurenix.int64
    norm.to("cpu", "float32")
    assert weight.dtype == neurenix.float32
    assert norm(neurenix.randn((4, 2))).dtype == neurenix.float32


def test_to_refuses_what_makes_no_sense() -> None:
    layer = nn.Linear(1, 1)
    with pytest.raises(TypeError, match="a floating dtype, not to int64"):
        layer.to(neurenix.int64)
    with pytest.raises(TypeError, match="a device, a dtype, or both"):
        layer.to()
    with pytest.raises(TypeError, match="two devices"):
        layer.to("cpu", device="cpu")
