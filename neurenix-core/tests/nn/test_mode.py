"""Training mode, eval mode, and what frozen parameters mean for them."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import neurenix
from neurenix import Device, nn


class Base(nn.Module):
    """Two stages with a BatchNorm each, and a Dropout between them."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.stage2 = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.drop = nn.Dropout(0.5)

    def forward(self, x: neurenix.Tensor) -> neurenix.Tensor:
        return self.drop(self.stage2(self.stage1(x)))


def modes(module: nn.Module) -> dict[str, bool]:
    return {name: each.training for name, each in module.named_modules()}


def test_train_and_eval_reach_everything() -> None:
    base = Base()
    assert all(modes(base).values())
    assert base.eval() is base
    assert not any(modes(base).values())
    assert base.train() is base
    assert all(modes(base).values())
    base.stage1.train(False)
    assert not base.stage1[1].training
    assert base.stage2[1].training
    with pytest.raises(TypeError, match=r"train\(\) takes True or False, not a int"):
        base.train(1)  # type: ignore[arg-type]


def test_freezing_changes_no_mode_unless_asked_to() -> None:
    base = Base()
    base.requires_grad_(False)
    assert all(modes(base).values())
    before = base.stage1[1].running_mean.numpy().copy()
    base(neurenix.randn((8, 4)))
    assert (base.stage1[1].running_mean.numpy() != before).any()


def test_frozen_subtrees_run_in_eval_mode() -> None:
    base = Base()
    base.when_frozen = "eval"
    assert all(modes(base).values())
    base.stage1.requires_grad_(False)
    found = modes(base)
    assert {name for name, training in found.items() if not training} == {
        "stage1",
        "stage1.0",
        "stage1.1",
        "stage1.2",
    }
    base.stage2.requires_grad_(False)
    assert not any(modes(base).values())
    base.train(True)
    assert not any(modes(base).values())
    base.stage2[1].bias.requires_grad = True
    found = modes(base)
    assert found["stage2"]
    assert found["stage2.1"]
    assert found["stage2.2"]
    assert found["drop"]
    assert not found["stage2.0"]
    assert not found["stage1.2"]
    base.eval()
    assert not any(modes(base).values())


def test_frozen_statistics_and_dropout_rest() -> None:
    base = Base()
    base.when_frozen = "eval"
    base.stage1.requires_grad_(False)
    x = neurenix.randn((8, 4))
    before = {key: value.numpy().copy() for key, value in base.state_dict().items()}
    base.train()
    first, second = base.stage1(x), base.stage1(x)
    np.testing.assert_array_equal(first.numpy(), second.numpy())
    base(x)
    after = base.state_dict()
    for key in ("running_mean", "running_var", "num_batches_tracked"):
        np.testing.assert_array_equal(before[f"stage1.1.{key}"], after[f"stage1.1.{key}"].numpy())
        assert (before[f"stage2.1.{key}"] != after[f"stage2.1.{key}"].numpy()).any()


def test_a_head_beside_a_frozen_base_trains() -> None:
    model = nn.Module()
    model.base = Base()
    model.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2))
    model.when_frozen = "eval"
    model.base.requires_grad_(False)
    assert model.training
    assert model.head.training
    assert model.head[0].training
    assert not model.base.training
    assert not model.base.drop.training


def test_batch_norm_can_opt_out_of_a_partly_frozen_subtree() -> None:
    base = Base()
    base.when_frozen = "eval_batch_norm"
    assert not base.stage1[1].training
    assert base.stage1[2].training
    assert base.stage1.training
    base.stage2.when_frozen = "train"
    assert base.stage2[1].training


def test_the_nearest_setting_counts() -> None:
    base = Base()
    base.requires_grad_(False)
    base.when_frozen = "eval"
    base.stage2.when_frozen = "train"
    assert base.stage2[1].training
    assert base.stage2[2].training
    assert not base.stage1[1].training
    with pytest.raises(ValueError, match="when_frozen is one of 'train', 'eval'"):
        base.when_frozen = "frozen"  # type: ignore[assignment]


def test_modules_added_later_follow() -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    net.when_frozen = "eval"
    net.requires_grad_(False)
    dropout = nn.Dropout()
    net.append(dropout)
    assert not dropout.training
    net.append(nn.Linear(2, 2))
    assert dropout.training
    del net[1]
    assert dropout.training  # it is on its own again


def test_a_shared_module_rests_only_if_all_its_owners_do() -> None:
    dropout = nn.Dropout()
    left, right = nn.Sequential(nn.Linear(2, 2), dropout), nn.Sequential(nn.Linear(2, 2), dropout)
    both = nn.Sequential(left, right)
    both.when_frozen = "eval"
    left.requires_grad_(False)
    assert dropout.training
    right.requires_grad_(False)
    assert not dropout.training


def test_a_module_may_be_its_own_ancestor() -> None:
    outer, inner = nn.Module(), nn.Module()
    outer.inner, inner.outer = inner, outer
    inner.dropout = nn.Dropout()
    assert inner.dropout.training
    outer.when_frozen = "eval"
    inner.weight = nn.Parameter([1.0], requires_grad=False)
    assert not inner.dropout.training
    assert not outer.training


def test_copies_follow_their_own_owners() -> None:
    base = Base()
    base.when_frozen = "eval"
    base.requires_grad_(False)
    twin = copy.deepcopy(base)
    twin.requires_grad_(True)
    assert twin.stage1[2].training
    assert not base.stage1[2].training
    del base
    assert twin.stage1[2].training


def test_evaluating_restores_every_flag() -> None:
    base = Base()
    base.when_frozen = "eval"
    base.stage1.requires_grad_(False)
    base.drop.eval()
    with nn.evaluating(base) as same:
        assert same is base
        assert not any(modes(base).values())
    with pytest.raises(ZeroDivisionError), nn.evaluating(base):
        1 / 0  # noqa: B018
    assert base.training
    assert not base.drop.training
    base.stage1.requires_grad_(True)
    assert base.stage1[2].training


def test_buffers_follow_their_parameters_at_the_next_forward(twin: Device) -> None:
    norm = nn.BatchNorm1d(2)
    mean = norm.running_mean
    for param in norm.parameters():
        param.to(twin, inplace=True)
    assert mean.device is not twin
    out = norm(neurenix.randn((4, 2)).to(twin))
    assert out.device is twin
    assert norm.running_mean is mean
    assert all(buffer.device is twin for buffer in norm.buffers())


def test_buffers_without_parameters_follow_the_owner(twin: Device) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, affine=False))
    for param in net.parameters():
        param.to(twin, inplace=True)
    assert net(neurenix.randn((4, 2)).to(twin)).device is twin
    assert net[1].running_mean.device is twin


def test_to_moves_parameters_gradients_and_buffers(twin: Device) -> None:
    norm = nn.BatchNorm1d(2)
    norm(neurenix.randn((4, 2))).sum().backward()
    weight = norm.weight
    norm.to(twin)
    assert norm.weight is weight
    assert weight.requires_grad
    for tensor in (weight, weight.grad, norm.running_var):
        assert tensor.device is twin
