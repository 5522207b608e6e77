"""What names of layers stand for."""

from __future__ import annotations

import pytest

from neurenix import nn
from neurenix.transfer import TransferModel, UnknownLayerError, freeze_layers, unfreeze_layers
from neurenix_transfer.layer_names import layer_list


def frozen(model):
    return {name for name, p in model.named_parameters() if not p.requires_grad}


LAYER1 = {"layer1.0.weight", "layer1.0.bias", "layer1.1.weight", "layer1.1.bias"}
LAYER10 = {"layer10.weight", "layer10.bias"}
BN1 = {"bn1.weight", "bn1.bias"}
CONV1 = {"conv1.weight", "conv1.bias"}
FC = {"fc.weight", "fc.bias"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["layer1"], LAYER1),
        ("layer1", LAYER1),
        (["layer1.0.weight"], {"layer1.0.weight"}),
        (["layer1.0", "bn1"], {"layer1.0.weight", "layer1.0.bias"} | BN1),
        (["layer1*"], LAYER1 | LAYER10),
        (["*bn1*"], BN1),
        (["layer?"], LAYER1),
        (
            ["*.bias"],
            {"conv1.bias", "bn1.bias", "layer1.0.bias", "layer1.1.bias"}
            | {"layer10.bias", "fc.bias"},
        ),
        (["re:layer\\d+"], LAYER1 | LAYER10),
        (["re:layer1"], LAYER1),
        ([0], CONV1),
        ([-1], FC),
        ([range(2)], CONV1 | BN1),
        ([slice(-2, None)], FC),
        (["3:5"], LAYER1 | LAYER10),
        ([0, "bn1"], CONV1 | BN1),
        ([], set()),
    ],
)
def test_names_stand_for_subtrees_paths_globs_patterns_indices_and_ranges(convnet, names, expected):
    freeze_layers(convnet, names)
    assert frozen(convnet) == expected


def test_none_means_all_and_an_empty_list_nothing(convnet):
    freeze_layers(convnet, [])
    assert frozen(convnet) == set()
    freeze_layers(convnet)
    assert frozen(convnet) == {name for name, _ in convnet.named_parameters()}
    unfreeze_layers(convnet, [])
    assert frozen(convnet) == {name for name, _ in convnet.named_parameters()}
    unfreeze_layers(convnet, None)
    assert frozen(convnet) == set()


def test_an_unmatched_name_raises_naming_close_matches_and_changes_nothing(convnet):
    with pytest.raises(UnknownLayerError, match=r"'layer11'.*Did you mean 'layer1") as error:
        freeze_layers(convnet, ["conv1", "layer11"])
    assert "conv1, bn1, relu, layer1" in str(error.value)
    assert frozen(convnet) == set()
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize("name", [99, -99, range(3, 99), slice(4, 4), "re:layer", "nothing*"])
def test_what_reaches_no_layer_raises_and_changes_nothing(convnet, name):
    with pytest.raises(UnknownLayerError, match="Nothing has been changed"):
        freeze_layers(convnet, ["conv1", name])
    assert frozen(convnet) == set()


def test_a_broken_pattern_is_named(convnet):
    with pytest.raises(UnknownLayerError, match=r"'re:\(' is no regular expression"):
        freeze_layers(convnet, ["re:("])


@pytest.mark.parametrize("name", [True, 1.5, None, nn.ReLU])
def test_names_of_another_kind_are_a_type_error(convnet, name):
    with pytest.raises(TypeError, match="a layer is named by"):
        freeze_layers(convnet, [name])


def test_on_a_transfer_model_bare_names_resolve_inside_the_base(convnet):
    model = TransferModel(convnet, nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2)))
    unfreeze_layers(model, ["layer1"])
    assert frozen(convnet) == {name for name, _ in convnet.named_parameters()} - LAYER1
    freeze_layers(model, [3])  # the layer list is the base's
    assert convnet.layer1[0].weight.requires_grad is False


def test_on_a_transfer_model_full_names_reach_the_new_layers(convnet):
    model = TransferModel(convnet, nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2)))
    freeze_layers(model, ["new_layers.0"])
    assert [p.requires_grad for p in model.get_new_layers().parameters()] == [False] * 2 + [
        True
    ] * 2
    unfreeze_layers(model, ["base_model.layer1"])
    assert convnet.layer1[0].weight.requires_grad


def test_the_layer_list_of_a_transfer_model_leaves_the_skipped_classifier_out(convnet):
    model = TransferModel(convnet, nn.Linear(6, 2))
    assert layer_list(convnet)[-1] == "fc"
    assert layer_list(model)[-1] == "avgpool"


def test_none_on_a_transfer_model_means_base_and_new_layers(convnet):
    model = TransferModel(convnet, nn.Linear(6, 2), freeze_base=False)
    freeze_layers(model)
    assert not any(p.requires_grad for p in model.parameters())
    assert not convnet.fc.weight.requires_grad


def test_shared_layers_are_found_under_each_of_their_names():
    linear = nn.Linear(3, 3)
    model = nn.Sequential(linear, nn.ReLU(), linear)
    freeze_layers(model, ["2"])
    assert not linear.weight.requires_grad
