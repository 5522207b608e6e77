"""Outputs of layers inside a model."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.transfer import LayerNotRunError, TransferModel, UnknownLayerError
from neurenix.transfer.utils import get_layer_outputs


class Bomb(nn.Module):
    def forward(self, x):
        raise AssertionError("a layer behind the deepest one asked for was run")


def test_it_gives_what_the_layers_give_in_the_order_asked_for(convnet, photos):
    outputs = get_layer_outputs(convnet, Tensor(photos), ["layer1", "conv1", "layer1.0"])
    assert list(outputs) == ["layer1", "conv1", "layer1.0"]
    convnet.eval()
    with neurenix.no_grad():
        conv1 = convnet.conv1(Tensor(photos))
        layer1 = convnet.layer1(convnet.relu(convnet.bn1(conv1)))
    np.testing.assert_array_equal(outputs["conv1"].numpy(), conv1.numpy())
    np.testing.assert_array_equal(outputs["layer1"].numpy(), layer1.numpy())


def test_it_runs_once_in_eval_mode_without_the_tape(convnet, photos):
    calls = []
    convnet.bn1.register_forward_hook(lambda m, args, out: calls.append(m.training))
    before = convnet.bn1.running_mean.numpy().copy()
    outputs = get_layer_outputs(convnet, Tensor(photos), ["bn1", "layer10"])
    assert calls == [False]
    np.testing.assert_array_equal(convnet.bn1.running_mean.numpy(), before)
    assert not outputs["layer10"].requires_grad


def test_it_stops_after_the_deepest_layer_asked_for(blobs):
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Sequential(nn.Tanh(), Bomb()), Bomb())
    outputs = get_layer_outputs(model, Tensor(blobs.train), ["2.0", "0"])
    assert outputs["2.0"].shape == (30, 3)


def test_modes_are_restored_and_hooks_removed(convnet, photos):
    convnet.train()
    convnet.layer1.eval()
    before = [module._training for module in convnet.modules()]
    get_layer_outputs(convnet, Tensor(photos), ["layer1"])
    assert [module._training for module in convnet.modules()] == before
    assert not any(module._forward_hooks for module in convnet.modules())


def test_modes_are_restored_and_hooks_removed_on_error_too(blobs):
    model = nn.Sequential(nn.Linear(4, 3), Bomb(), nn.Linear(3, 2)).train()
    with pytest.raises(AssertionError):
        get_layer_outputs(model, Tensor(blobs.train), ["2"])
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


def test_an_in_place_activation_never_changes_what_was_captured(blobs):
    class InPlace(nn.Module):
        def forward(self, x):
            return x.copy_(neurenix.relu(x))

    model = nn.Sequential(nn.Linear(4, 3), InPlace(), nn.Linear(3, 2))
    outputs = get_layer_outputs(model, Tensor(blobs.train), ["0", "1", "2"])
    expected = model[0](Tensor(blobs.train)).detach().numpy()
    assert (expected < 0).any()
    np.testing.assert_array_equal(outputs["0"].numpy(), expected)
    np.testing.assert_array_equal(outputs["1"].numpy(), np.maximum(expected, 0))


def test_a_view_of_the_input_is_captured_as_a_copy(photos):
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 2))
    x = Tensor(photos)
    flat = get_layer_outputs(model, x, ["0"])["0"]
    x.zero_()
    assert flat.numpy().any()


def test_a_layer_without_weights_that_its_block_reuses_gives_its_last_output(photos):
    from neurenix.models import resnet18

    model = resnet18()
    seen = []
    block = model.layer1[0]
    x = neurenix.rand((1, 3, 32, 32))
    with block.relu.register_forward_hook(lambda m, args, out: seen.append(out.numpy().copy())):
        outputs = get_layer_outputs(model, x, ["layer1.0.relu", "layer1.0"])
    assert len(seen) == 2
    np.testing.assert_array_equal(outputs["layer1.0.relu"].numpy(), seen[-1])
    np.testing.assert_array_equal(outputs["layer1.0"].numpy(), seen[-1])


def test_on_a_transfer_model_bare_names_mean_the_base(convnet, photos):
    model = TransferModel(convnet, nn.Sequential(nn.Linear(6, 3), nn.ReLU()))
    outputs = get_layer_outputs(model, Tensor(photos), ["layer1", "new_layers.0"])
    assert outputs["layer1"].shape == (8, 6, 6, 6)
    assert outputs["new_layers.0"].shape == (8, 3)


def test_a_layer_that_does_not_run_is_named(convnet, photos):
    model = TransferModel(convnet, nn.Linear(6, 2))
    with pytest.raises(LayerNotRunError, match="'fc'"):
        get_layer_outputs(model, Tensor(photos), ["conv1", "fc"])


def test_unknown_and_ambiguous_names_are_errors(convnet, photos):
    with pytest.raises(UnknownLayerError, match="Did you mean 'layer1"):
        get_layer_outputs(convnet, Tensor(photos), ["layer2"])
    with pytest.raises(UnknownLayerError, match="matches 2 layers"):
        get_layer_outputs(convnet, Tensor(photos), ["layer1?0"] * 0 + ["re:layer1.[01]"])
    with pytest.raises(UnknownLayerError, match=r"is a parameter.*'conv1'"):
        get_layer_outputs(convnet, Tensor(photos), ["conv1.weight"])


def test_a_single_name_and_outputs_of_several_tensors(photos):
    class Pair(nn.Module):
        def forward(self, x):
            return x, {"half": x * 0.5}

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = Pair()

        def forward(self, x):
            first, second = self.pair(x)
            first.zero_()
            return second["half"]

    pair = get_layer_outputs(Model(), Tensor(photos.copy()), "pair")["pair"]
    np.testing.assert_array_equal(pair[0].numpy(), photos)
    np.testing.assert_array_equal(pair[1]["half"].numpy(), photos * 0.5)
