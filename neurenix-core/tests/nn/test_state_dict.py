"""Saving and loading the state of modules."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.nn import StateDictError


def small() -> nn.Sequential:
    return nn.Sequential({"fc": nn.Linear(2, 3), "bn": nn.BatchNorm1d(3)})


def test_keys_and_sharing() -> None:
    net = small()
    state = net.state_dict()
    assert list(state) == [
        "fc.weight",
        "fc.bias",
        "bn.weight",
        "bn.bias",
        "bn.running_mean",
        "bn.running_var",
        "bn.num_batches_tracked",
    ]
    assert not any(tensor.requires_grad for tensor in state.values())
    state["fc.bias"].fill_(5.0)
    assert net.fc.bias.tolist() == [5.0, 5.0, 5.0]
    assert list(net.fc.state_dict(prefix="x.")) == ["x.weight", "x.bias"]


def test_a_round_trip_keeps_identity_and_copies_values() -> None:
    source, target = small(), small()
    weight = target.fc.weight
    keys = target.load_state_dict(source.state_dict())
    assert keys == ([], [])
    assert target.fc.weight is weight
    assert weight.requires_grad
    np.testing.assert_array_equal(weight.detach().numpy(), source.fc.weight.detach().numpy())
    with neurenix.no_grad():
        source.fc.weight.zero_()
    assert weight.detach().numpy().any()


def test_arrays_are_taken_and_cast() -> None:
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.array([[1, 2]]), "bias": np.array([0.5])})
    assert layer.weight.dtype == neurenix.float32
    assert layer.weight.tolist() == [[1.0, 2.0]]


def test_one_error_lists_everything_and_changes_nothing() -> None:
    net = small()
    before = {key: value.numpy().copy() for key, value in net.state_dict().items()}
    state = {key: value + 1 for key, value in net.state_dict().items()}
    del state["bn.bias"]
    state["head.weight"] = neurenix.zeros((1,))
    state["fc.weight"] = neurenix.zeros((4, 2))
    with pytest.raises(StateDictError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        "The state dict does not fit Sequential; nothing was changed.\n"
        "  1 missing:\n    bn.bias\n"
        "  1 unexpected:\n    head.weight\n"
        "  1 of another shape:\n    fc.weight: Sequential has (3, 2), got (4, 2)"
    )
    assert caught.value.missing == ["bn.bias"]
    assert caught.value.unexpected == ["head.weight"]
    assert caught.value.misshapen == {"fc.weight": ((3, 2), (4, 2))}
    assert isinstance(caught.value, RuntimeError)
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])


def test_not_strict_returns_what_differs() -> None:
    layer = nn.Linear(2, 1)
    keys = layer.load_state_dict({"weight": np.ones((1, 2)), "extra": np.ones(1)}, strict=False)
    assert keys.missing_keys == ["bias"]
    assert keys.unexpected_keys == ["extra"]
    assert layer.weight.tolist() == [[1.0, 1.0]]
    with pytest.raises(StateDictError, match=r"weight: Linear has \(1, 2\), got \(2,\)"):
        layer.load_state_dict({"weight": np.ones(2)}, strict=False)


def test_a_prefix_is_named() -> None:
    net = small()
    state = {f"module.{key}": value for key, value in net.state_dict().items()}
    with pytest.raises(StateDictError, match=r"Remove the prefix 'module\.' from the state dict"):
        net.load_state_dict(state)
    with pytest.raises(StateDictError, match=r"Put the prefix 'fc\.' before the state dict"):
        nn.Sequential({"fc": nn.Linear(2, 3)}).load_state_dict(nn.Linear(2, 3).state_dict())


def test_long_lists_are_cut() -> None:
    net = nn.Sequential(nn.Linear(1, 1) for _ in range(30))
    with pytest.raises(StateDictError, match=r"60 missing:[\s\S]*\.\.\. and 40 more"):
        net.load_state_dict({})


def test_a_checkpoint_around_the_weights_is_explained() -> None:
    layer = nn.Linear(1, 1)
    with pytest.raises(StateDictError, match=r"expected a tensor or an array.*'state_dict'"):
        layer.load_state_dict({"weight": {"weight": 1}, "bias": np.ones(1)})
    with pytest.raises(TypeError, match=r"neurenix\.io\.load_weights"):
        layer.load_state_dict("weights.pth")  # type: ignore[arg-type]


def test_the_count_of_batches_may_be_missing() -> None:
    norm = nn.BatchNorm1d(2)
    state = norm.state_dict()
    del state["num_batches_tracked"]
    assert norm.load_state_dict(state).missing_keys == []


def test_shared_parameters_load_under_every_name() -> None:
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    assert list(net.state_dict()) == ["0.weight", "1.weight"]
    net.load_state_dict({key: np.eye(2) for key in ("0.weight", "1.weight")})
    assert net[0].weight.tolist() == [[1.0, 0.0], [0.0, 1.0]]
