"""What frozen means: no gradient, and eval mode for what is frozen as a whole."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.optim import SGD
from neurenix.transfer import TransferModel, fine_tune, freeze_layers, unfreeze_layers


def running_mean(batch_norm):
    return batch_norm.running_mean.detach().numpy().copy()


def test_freezing_drops_the_gradient(convnet, photos):
    convnet(Tensor(photos)).sum().backward()
    freeze_layers(convnet, ["conv1"])
    assert convnet.conv1.weight.grad is None
    assert convnet.fc.weight.grad is not None


def test_a_fully_frozen_subtree_runs_in_eval_mode_under_train(convnet, photos):
    freeze_layers(convnet, ["bn1"])
    convnet.train()
    before = running_mean(convnet.bn1), running_mean(convnet.layer1[1])
    convnet(Tensor(photos))
    np.testing.assert_array_equal(running_mean(convnet.bn1), before[0])
    assert (running_mean(convnet.layer1[1]) != before[1]).any()


def test_the_mode_follows_requires_grad_and_cannot_get_out_of_step(convnet, photos):
    freeze_layers(convnet, ["bn1"])
    convnet.train()
    assert not convnet.bn1.training
    convnet.bn1.weight.requires_grad = True  # by hand, after train()
    assert convnet.bn1.training
    convnet.bn1.weight.requires_grad = False
    assert not convnet.bn1.training
    unfreeze_layers(convnet, ["bn1"])
    assert convnet.bn1.training


def test_a_partly_frozen_subtree_behaves_normally(convnet):
    freeze_layers(convnet, ["layer1.0"])
    convnet.train()
    assert convnet.layer1[1].training
    freeze_layers(convnet, ["layer1.1.weight"])
    assert convnet.layer1[1].training  # its bias is trained


def test_bn_frozen_keeps_the_statistics_of_partly_frozen_subtrees(convnet, photos):
    model = TransferModel(convnet, nn.Linear(6, 2), fine_tune_layers=["layer1"], bn="frozen")
    model.train()
    before = running_mean(convnet.layer1[1])
    model(Tensor(photos))
    np.testing.assert_array_equal(running_mean(convnet.layer1[1]), before)
    freeze_layers(model, [], bn="auto")
    model(Tensor(photos))
    assert (running_mean(convnet.layer1[1]) != before).any()
    freeze_layers(model, [], bn="frozen")
    assert not convnet.layer1[1].training


def test_bn_of_another_value_is_an_error_and_changes_nothing(convnet):
    with pytest.raises(ValueError, match='bn is "auto" or "frozen"'):
        freeze_layers(convnet, ["conv1"], bn="eval")
    assert convnet.conv1.weight.requires_grad


def test_a_module_without_parameters_follows_its_nearest_ancestor_that_has_some():
    block = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    model = nn.Sequential(block, nn.Dropout(0.5), nn.Linear(4, 2))
    freeze_layers(model, ["0"])
    model.train()
    assert not block[1].training  # all of its block is frozen
    assert model[1].training  # its nearest ancestor, the model, is partly trained


def test_the_dropout_of_a_head_always_works(convnet):
    head = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 2))
    model = TransferModel(convnet, head).train()
    assert head[0].training
    assert not convnet.bn1.training
    model.eval()
    assert not head[0].training


def test_the_dropout_of_a_frozen_base_rests(blobs):
    base = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 5))
    model = TransferModel(base, nn.Linear(8, 2)).train()
    x = Tensor(blobs.train)
    np.testing.assert_array_equal(model(x).detach().numpy(), model(x).detach().numpy())


def test_a_plain_module_frozen_by_hand_keeps_its_statistics_in_fine_tune(photos):
    neurenix.manual_seed(0)
    frozen = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    model = nn.Sequential(frozen, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    frozen.requires_grad_(False)
    before = running_mean(frozen[1])
    optimizer = SGD(model.parameters(), lr=0.1)
    fine_tune(model, optimizer, photos, [0, 1] * 4, epochs=1, verbose=0)
    np.testing.assert_array_equal(running_mean(frozen[1]), before)
    assert model.when_frozen is None  # as it was


def test_frozen_weights_are_bitwise_unchanged_by_weight_decay(run):
    neurenix.manual_seed(0)
    base = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 5))
    model = TransferModel(base, nn.Linear(8, 2))
    before = base[0].weight.detach().numpy().copy()
    optimizer = SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    fine_tune(model, optimizer, np.ones((4, 4), np.float32), [0, 1, 0, 1], epochs=2, verbose=0)
    np.testing.assert_array_equal(base[0].weight.detach().numpy(), before)
