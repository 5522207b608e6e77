"""What all optimizers share: arguments, groups, skipping, state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Device, Tensor, nn
from neurenix.nn import Parameter
from neurenix.optim import SGD, Adam, AdamW, Optimizer


def params(count: int = 2) -> list[Parameter]:
    return [Parameter(np.full((3,), float(i + 1), dtype=np.float32)) for i in range(count)]


def give_grads(tensors: list[Parameter], value: float = 1.0) -> None:
    for tensor in tensors:
        tensor.grad = neurenix.full(tensor.shape, value)


def test_iterators_lists_and_groups() -> None:
    layer = nn.Linear(2, 2)
    for given in (layer.parameters(), list(layer.parameters()), tuple(layer.parameters())):
        optimizer = SGD(given, lr=0.1)
        assert optimizer.param_groups[0]["params"] == list(layer.parameters())
    groups = SGD(
        [
            {"params": iter([layer.weight]), "lr": 0.5, "name": "w"},
            {"params": layer.bias, "momentum": 0.0},
        ],
        lr=0.1,
        momentum=0.9,
    ).param_groups
    assert [group["lr"] for group in groups] == [0.5, 0.1]
    assert [group["momentum"] for group in groups] == [0.9, 0.0]
    assert groups[0]["name"] == "w"
    assert groups[1]["params"][0] is layer.bias


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("weights", TypeError, "an iterable of tensors or of parameter groups.*got 'weights'"),
        (None, TypeError, "got a NoneType"),
        (Parameter([1.0]), TypeError, r"for a single tensor, pass \[tensor\]"),
        ({"params": []}, TypeError, "got a dict"),
        ([], ValueError, "SGD got no parameters. An iterator such as"),
        ([1.0], TypeError, "parameter 0 is a float, not a Tensor"),
        (nn.Linear(1, 1).named_parameters(), TypeError, "named_parameters.. yields pairs"),
        ([{"params": [Parameter([1.0])]}, Parameter([1.0])], TypeError, "got both in one list"),
        ([{"weights": []}], TypeError, "mapping with 'params' and options; group 0 is a dict"),
        ([{"params": "abc"}], TypeError, "'params' is an iterable of tensors, not 'abc'"),
        ([{"params": {Parameter([1.0])}}], TypeError, "a set has no order"),
        ([neurenix.zeros((2,), dtype=neurenix.int64)], TypeError, "only floating ones"),
        ([Parameter([1.0]) * 2], ValueError, "is the result of a computation"),
    ],
)
def test_what_cannot_be_optimized(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SGD(given, lr=0.1)


def test_a_parameter_comes_once() -> None:
    first, second = params()
    with pytest.raises(ValueError, match=r"parameter 2 of group 0, of shape \(3,\), is in group 0"):
        SGD([first, second, first], lr=0.1)
    with pytest.raises(ValueError, match=r"parameter 0 of group 1.*is in group 0 already"):
        SGD([{"params": [first, second]}, {"params": [second]}], lr=0.1)
    optimizer = SGD([first], lr=0.1)
    with pytest.raises(ValueError, match="is in group 0 already"):
        optimizer.add_param_group({"params": [first]})
    assert len(optimizer.param_groups) == 1


def test_the_learning_rate_may_come_from_every_group() -> None:
    first, second = params()
    optimizer = SGD([{"params": [first], "lr": 0.1}, {"params": [second], "lr": 1}], momentum=0.9)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 1]
    with pytest.raises(ValueError, match="or give every group one; group 1 has none"):
        SGD([{"params": [first], "lr": 0.1}, {"params": [second]}])
    with pytest.raises(ValueError, match=r"SGD needs a learning rate: pass lr=\.\.\."):
        SGD([first])
    assert Adam([first]).param_groups[0]["lr"] == 1e-3


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (SGD, {"lr": -1}, "SGD: lr is a number of at least 0; got -1"),
        (SGD, {"lr": float("nan")}, "lr is a number of at least 0; got nan"),
        (SGD, {"lr": "fast"}, "got 'fast'"),
        (SGD, {"lr": 1, "momentum": -0.1}, "momentum is a number of at least 0"),
        (SGD, {"lr": 1, "nesterov": True}, "nesterov=True needs a momentum above 0"),
        (
            SGD,
            {"lr": 1, "nesterov": True, "momentum": 0.9, "dampening": 0.1},
            "and no dampening; got momentum=0.9, dampening=0.1",
        ),
        (Adam, {"betas": (0.9, 1.0)}, "Adam: betas are two numbers from 0 to below 1"),
        (AdamW, {"eps": -1e-8}, "AdamW: eps is a number of at least 0"),
        (AdamW, {"weight_decay": -1}, "weight_decay is a number of at least 0"),
    ],
)
def test_options_are_checked(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(params(), **options)
    group = {"params": params(), **options}
    with pytest.raises(ValueError, match=message):
        kind([group], lr=0.1)


def test_a_misspelt_option_is_named() -> None:
    with pytest.raises(ValueError, match=r"no option 'weigth_decay' \(group 0\); did you"):
        SGD([{"params": params(), "weigth_decay": 0.1}], lr=0.1)


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_frozen_parameters_and_those_without_gradient_are_skipped(kind: Any) -> None:
    frozen, idle, live = tensors = params(3)
    optimizer = kind(tensors, lr=0.1, weight_decay=0.5)
    give_grads([frozen, live])
    frozen.requires_grad = False
    optimizer.step()
    assert frozen.tolist() == [1.0] * 3
    assert idle.tolist() == [2.0] * 3
    assert live.tolist() != [3.0] * 3
    frozen.requires_grad = True
    give_grads([frozen])
    optimizer.step()
    assert frozen.tolist() != [1.0] * 3


def test_state_is_made_when_it_is_needed() -> None:
    first, second = params()
    optimizer = Adam([first, second])
    assert optimizer.state == {}
    give_grads([second])
    optimizer.step()
    assert list(optimizer.state) == [second]
    assert optimizer.state[second]["step"].item() == 1
    plain = SGD([first], lr=0.1)
    give_grads([first])
    plain.step()
    assert plain.state == {}


def test_zero_grad() -> None:
    tensors = params()
    optimizer = SGD(tensors, lr=0.1)
    give_grads(tensors)
    optimizer.zero_grad(set_to_none=False)
    assert tensors[0].grad.tolist() == [0.0] * 3
    optimizer.zero_grad()
    assert all(tensor.grad is None for tensor in tensors)


def test_a_closure_computes_the_loss_with_gradients() -> None:
    (weight,) = params(1)
    optimizer = SGD([weight], lr=0.5)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (weight * weight).sum()
        loss.backward()
        return loss

    with neurenix.no_grad():
        assert optimizer.step(closure).item() == 3.0
    assert weight.tolist() == [0.0] * 3
    assert optimizer.step() is None


def test_the_learning_rate_can_be_changed_between_steps() -> None:
    (weight,) = params(1)
    optimizer = SGD([weight], lr=1.0)
    held = optimizer._lr(optimizer.param_groups[0], weight)
    for rate, expected in ((1.0, 0.0), (0.25, -0.25), (0, -0.25)):
        optimizer.param_groups[0]["lr"] = rate
        give_grads([weight])
        optimizer.step()
        assert weight.tolist() == [expected] * 3
        assert optimizer._lr(optimizer.param_groups[0], weight) is held
    optimizer.param_groups[0]["lr"] = 0.125
    assert held.item() == 0
    optimizer.sync_lr()
    assert held.item() == 0.125
    assert held.shape == ()
    assert optimizer.param_groups[0]["lr"] == 0.125


def test_a_group_can_be_added_later() -> None:
    first, second = params()
    optimizer = SGD([first], lr=1.0)
    optimizer.add_param_group({"params": second, "lr": 0.5})
    give_grads([first, second])
    optimizer.step()
    assert first.tolist() == [0.0] * 3
    assert second.tolist() == [1.5] * 3


def train(optimizer: Optimizer, tensors: list[Parameter], steps: int) -> list[list[float]]:
    for step in range(steps):
        for i, tensor in enumerate(tensors):
            tensor.grad = tensor.detach() * 0.5 + float(step - i)
        optimizer.step()
    return [tensor.tolist() for tensor in tensors]


@pytest.mark.parametrize(
    ("kind", "options"), [(SGD, {"lr": 0.1, "momentum": 0.9}), (Adam, {}), (AdamW, {"lr": 0.1})]
)
def test_a_saved_state_goes_on_bit_for_bit(kind: Any, options: dict[str, Any]) -> None:
    tensors = params()
    optimizer = kind([{"params": [tensors[0]]}, {"params": [tensors[1]], "lr": 0.3}], **options)
    train(optimizer, tensors, 3)
    saved = optimizer.state_dict()
    assert [group["params"] for group in saved["param_groups"]] == [[0], [1]]
    assert sorted(saved["state"]) == [0, 1]
    copies = [Parameter(tensor.detach().clone()) for tensor in tensors]
    resumed = kind([{"params": [copies[0]]}, {"params": [copies[1]]}], lr=7.0)
    resumed.load_state_dict(saved)
    assert [group["lr"] for group in resumed.param_groups] == [options.get("lr", 1e-3), 0.3]
    assert train(resumed, copies, 3) == train(optimizer, tensors, 3)


def test_a_loaded_state_is_a_copy() -> None:
    (weight,) = params(1)
    optimizer = SGD([weight], lr=0.1, momentum=0.9)
    give_grads([weight])
    optimizer.step()
    saved = optimizer.state_dict()
    other = SGD([Parameter(weight.detach().clone())], lr=0.1)
    other.load_state_dict(saved)
    saved["state"][0]["momentum_buffer"].zero_()
    (state,) = other.state.values()
    assert state["momentum_buffer"].tolist() == [1.0] * 3


def test_a_state_of_other_groups_is_refused() -> None:
    optimizer = SGD(params(2), lr=0.1)
    saved = SGD(params(3), lr=0.5).state_dict()
    with pytest.raises(ValueError, match=r"SGD has groups of \[2\] parameters, .* groups of \[3\]"):
        optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_state_follows_its_parameter(twin: Device) -> None:
    (weight,) = params(1)
    for optimizer in (SGD([weight], lr=0.1, momentum=0.9), Adam([weight])):
        weight.to("cpu", inplace=True)
        give_grads([weight])
        optimizer.step()
        weight.to(twin, inplace=True)
        weight.grad = neurenix.ones((3,)).to(twin)
        optimizer.step()
        for value in optimizer.state[weight].values():
            assert value.device is twin


def test_repr_shows_groups() -> None:
    text = repr(SGD(params(), lr=0.1))
    assert text.startswith("SGD (\n  group 0: 2 parameters, lr=0.1, momentum=0.0")
