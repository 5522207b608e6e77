"""The joined model: its parts, its counts, its state, sharing and cloning."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.transfer import TransferModel, UnknownLayerError


def test_the_parts_are_the_callers_own_modules(convnet):
    head = nn.Linear(6, 2)
    model = TransferModel(convnet, head)
    assert model.get_base_model() is convnet
    assert model.get_new_layers() is head
    assert isinstance(convnet.fc, nn.Linear)  # still there, though skipped


def test_the_skipped_classifier_is_left_out_of_parameters_counts_and_state(convnet):
    model = TransferModel(convnet, nn.Linear(6, 2))
    names = {name for name, _ in model.named_parameters()}
    assert not any("fc" in name for name in names)
    assert not any("fc" in key for key in model.state_dict())
    total = sum(p.size for p in convnet.parameters()) - convnet.fc.weight.size - 5 + 14
    assert sum(p.size for p in model.parameters()) == total
    assert f"14 of {total:,} parameters" in model.summary()


def test_state_loads_strictly_without_the_skipped_classifier(convnet):
    model = TransferModel(convnet, nn.Linear(6, 2))
    other = model.clone()
    with neurenix.no_grad():
        for param in other.parameters():
            param.fill_(0.5)
    kept = convnet.fc.weight.detach().numpy().copy()
    result = model.load_state_dict(other.state_dict())
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    np.testing.assert_array_equal(model.new_layers.weight.detach().numpy(), np.full((2, 6), 0.5))
    np.testing.assert_array_equal(convnet.fc.weight.detach().numpy(), kept)
    with pytest.raises(RuntimeError, match="missing"):
        model.load_state_dict({})


def test_freeze_base_freezes_the_base_only(convnet):
    model = TransferModel(convnet, nn.Linear(6, 2))
    assert not any(p.requires_grad for p in convnet.parameters())
    assert all(p.requires_grad for p in model.get_new_layers().parameters())


def test_fine_tune_layers_are_trained_in_a_frozen_base(convnet):
    model = TransferModel(convnet, nn.Linear(6, 2), fine_tune_layers=["layer1"])
    trained = {name for name, p in convnet.named_parameters() if p.requires_grad}
    assert trained == {"layer1.0.weight", "layer1.0.bias", "layer1.1.weight", "layer1.1.bias"}
    assert not model.base_is_frozen


def test_indices_in_fine_tune_layers_count_in_the_layer_list_without_the_classifier(convnet):
    TransferModel(convnet, nn.Linear(6, 2), fine_tune_layers=["-2:"])  # layer10 and avgpool
    trained = {name for name, p in convnet.named_parameters() if p.requires_grad}
    assert trained == {"layer10.weight", "layer10.bias"}


def test_fine_tune_layers_without_freeze_base_are_ignored_with_a_warning(convnet):
    with pytest.warns(UserWarning, match="only used if freeze_base"):
        TransferModel(convnet, nn.Linear(6, 2), freeze_base=False, fine_tune_layers=["layer1"])
    assert all(p.requires_grad for p in convnet.parameters())


def test_an_unknown_fine_tune_layer_raises_and_freezes_nothing(convnet):
    with pytest.raises(UnknownLayerError, match="layer1"):
        TransferModel(convnet, nn.Linear(6, 2), fine_tune_layers=["layr1"])
    assert all(p.requires_grad for p in convnet.parameters())


def test_a_shared_base_is_shared_by_reference_and_warned_of(convnet):
    first = TransferModel(convnet, nn.Linear(6, 2), fine_tune_layers=["layer1"])
    with pytest.warns(UserWarning, match=r"base of another TransferModel.*clone\(\)"):
        second = TransferModel(convnet, nn.Linear(6, 3))
    assert first.get_base_model() is second.get_base_model()
    assert first.base_is_frozen  # the last constructor's freezing wins
    with pytest.warns(UserWarning, match="base of another"):
        TransferModel(convnet, nn.Linear(6, 4), freeze_base=False)
    assert all(p.requires_grad for p in convnet.parameters())


def test_an_unshared_base_that_is_not_to_be_frozen_stays_as_it_is(convnet):
    convnet.conv1.requires_grad_(False)
    TransferModel(convnet, nn.Linear(6, 2), freeze_base=False)
    assert not convnet.conv1.weight.requires_grad


def test_a_base_whose_first_model_is_gone_is_not_warned_of(convnet):
    TransferModel(convnet, nn.Linear(6, 2))
    TransferModel(convnet, nn.Linear(6, 2))


def test_clone_separates(convnet, photos):
    model = TransferModel(convnet, nn.Linear(6, 2), fine_tune_layers=["layer1"]).eval()
    twin = model.clone()
    x = Tensor(photos)
    np.testing.assert_array_equal(model(x).detach().numpy(), twin(x).detach().numpy())
    assert [p.requires_grad for p in twin.parameters()] == [
        p.requires_grad for p in model.parameters()
    ]
    twin.freeze_base_model()
    with neurenix.no_grad():
        twin.get_base_model().conv1.weight.fill_(0.0)
    assert not model.base_is_frozen
    assert convnet.conv1.weight.detach().numpy().any()


def test_freezing_methods_act_on_the_base(convnet):
    model = TransferModel(convnet, nn.Linear(6, 2))
    model.unfreeze_base_model()
    assert all(p.requires_grad for p in model.get_base_model().parameters())
    model.freeze_base_model()
    assert not any(p.requires_grad for p in model.get_base_model().parameters())
    model.unfreeze_layers(["layer1"])
    assert convnet.layer1[0].weight.requires_grad
    assert not convnet.layer10.weight.requires_grad
    model.freeze_layers(["layer1.0"])
    assert not convnet.layer1[0].weight.requires_grad
    assert convnet.layer1[1].weight.requires_grad
    assert all(p.requires_grad for p in model.get_new_layers().parameters())


def test_unfreezing_only_the_skipped_classifier_is_warned_of(convnet):
    model = TransferModel(convnet, nn.Linear(6, 2))
    with pytest.warns(UserWarning, match="classifier is unfrozen, which this model skips"):
        model.unfreeze_layers(["fc"])


def test_a_frozen_base_is_not_taped_but_gradients_of_the_input_are_had_where_asked_for(
    convnet, photos
):
    model = TransferModel(convnet, nn.Linear(6, 2))
    assert not model.forward_base(Tensor(photos)).requires_grad
    x = Tensor(photos, requires_grad=True)
    model(x).sum().backward()
    assert x.grad is not None
    assert convnet.conv1.weight.grad is None


def test_no_gradient_is_computed_for_frozen_weights(convnet, photos):
    model = TransferModel(convnet, nn.Linear(6, 2), fine_tune_layers=["layer10"])
    model(Tensor(photos)).sum().backward()
    with_grad = {name for name, p in model.named_parameters() if p.grad is not None}
    assert with_grad == {
        "base_model.layer10.weight",
        "base_model.layer10.bias",
        "new_layers.weight",
        "new_layers.bias",
    }


def test_casting_takes_the_skipped_classifier_along(convnet):
    model = TransferModel(convnet, nn.Linear(6, 2)).to(neurenix.float64)
    assert convnet.fc.weight.dtype == neurenix.float64
    assert model.new_layers.weight.dtype == neurenix.float64


def test_a_transfer_model_can_be_a_base(convnet, photos):
    inner = TransferModel(convnet, nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)))
    outer = TransferModel(inner, nn.Linear(4, 2))
    assert outer(Tensor(photos)).shape == (8, 2)
    assert outer.skipped_classifier is inner.get_new_layers()[2]
    outer.unfreeze_layers(["layer1"])
    assert convnet.layer1[0].weight.requires_grad


def test_base_must_be_a_module():
    with pytest.raises(TypeError, match="base_model is a Module"):
        TransferModel("resnet18", nn.Linear(2, 2))
