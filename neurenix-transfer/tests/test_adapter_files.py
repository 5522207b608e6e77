"""Files of adapters: what they hold, and on which models they go."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.io import (
    WeightsFileError,
    load_safetensors,
    safetensors_metadata,
    save_safetensors,
)
from neurenix.transfer import (
    AdapterError,
    TransferModel,
    add_lora,
    load_lora,
    save_lora,
    unload_lora,
)


def values(tensor):
    return tensor.detach().numpy()


def spoil(model, seed=0):
    """Change what is trainable, as training would."""
    rng = np.random.default_rng(seed)
    for param in model.parameters():
        if param.requires_grad:
            with neurenix.no_grad():
                param.copy_(Tensor(rng.normal(size=param.shape).astype(np.float32)))


@pytest.fixture
def pristine(convnet):
    """The base as it was before any adapter."""
    return copy.deepcopy(convnet)


@pytest.fixture
def trained(convnet, pristine):
    model = TransferModel(convnet, nn.Linear(6, 2))
    add_lora(model, "layer1", rank=2, alpha=6, dropout=0.1)
    add_lora(model, "layer10", rank=3, dora=True)
    spoil(model)
    return model.eval()


def test_the_file_holds_the_adapters_alone_under_the_bases_own_names(trained, tmp_path):
    file = tmp_path / "adapter.safetensors"
    save_lora(trained, file)
    assert sorted(load_safetensors(file)) == [
        "layer1.0.lora_A",
        "layer1.0.lora_B",
        "layer10.lora_A",
        "layer10.lora_B",
        "layer10.lora_magnitude",
    ]
    metadata = safetensors_metadata(file)
    assert json.loads(metadata["layers"])["layer1.0"] == {
        "rank": 2,
        "alpha": 6.0,
        "dora": False,
        "dropout": 0.1,
    }
    base = json.loads(metadata["base"])
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.weight"} <= set(base)
    assert not [name for name in base if "lora" in name or name.startswith("new_layers")]


def test_loaded_onto_the_base_in_a_transfer_model_it_gives_the_same(
    trained, pristine, photos, tmp_path
):
    file = tmp_path / "adapter.safetensors"
    save_lora(trained, file, include="new_layers")
    fresh = TransferModel(pristine, nn.Linear(6, 2)).eval()
    assert load_lora(fresh, file) == ["base_model.layer1.0", "base_model.layer10"]
    x = Tensor(photos)
    assert values(fresh(x)).tobytes() == values(trained(x)).tobytes()
    assert repr(fresh) == repr(trained)
    trainable = [name for name, p in trained.named_parameters() if p.requires_grad]
    assert [name for name, p in fresh.named_parameters() if p.requires_grad] == trainable


def test_loaded_onto_the_base_alone_it_gives_the_same(trained, pristine, photos, tmp_path):
    file = tmp_path / "adapter.safetensors"
    save_lora(trained, file)
    assert load_lora(pristine, file) == ["layer1.0", "layer10"]
    x = Tensor(photos)
    expected = values(trained.base_model.eval()(x))
    assert values(pristine.eval()(x)).tobytes() == expected.tobytes()
    assert not pristine.layer10.weight.requires_grad


def test_saved_from_the_base_alone_it_loads_in_a_transfer_model(convnet, pristine, tmp_path):
    file = tmp_path / "adapter.safetensors"
    neurenix.transfer.freeze_layers(convnet)
    add_lora(convnet, "layer1")
    spoil(convnet)
    save_lora(convnet, file)
    model = TransferModel(pristine, nn.Linear(6, 2))  # it skips the classifier that the file knows
    assert load_lora(model, file) == ["base_model.layer1.0"]


def test_what_was_trained_besides_is_no_mark_of_the_base(convnet, pristine, tmp_path):
    file = tmp_path / "adapter.safetensors"
    neurenix.transfer.freeze_layers(convnet)
    neurenix.transfer.unfreeze_layers(convnet, "fc")
    add_lora(convnet, "layer1")
    spoil(convnet)
    save_lora(convnet, file, include="fc")
    load_lora(pristine, file)
    assert (values(pristine.fc.weight) == values(convnet.fc.weight)).all()


def test_a_model_with_the_same_adapters_takes_the_values(trained, photos, tmp_path):
    file = tmp_path / "adapter.safetensors"
    save_lora(trained, file, include="new_layers")
    x = Tensor(photos)
    before = values(trained(x))
    spoil(trained, seed=1)
    assert (values(trained(x)) != before).any()
    load_lora(trained, file)
    assert values(trained(x)).tobytes() == before.tobytes()


def test_another_base_is_a_clear_error_and_nothing_changes(trained, pristine, tmp_path):
    file = tmp_path / "adapter.safetensors"
    save_lora(trained, file)
    with neurenix.no_grad():
        pristine.bn1.running_var.fill_(2.0)
    state = repr(pristine)
    with pytest.raises(AdapterError, match=r"another base .* 1 have other values \(bn1.running_v"):
        load_lora(pristine, file)
    other = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(AdapterError, match=r"another base than this Sequential: of the .* it does"):
        load_lora(other, file)
    assert repr(pristine) == state
    assert all(param.requires_grad for param in pristine.parameters())


def test_other_adapters_are_an_error(trained, pristine, tmp_path):
    file = tmp_path / "adapter.safetensors"
    save_lora(trained, file)
    add_lora(pristine, ["layer1", "layer10"])
    with pytest.raises(AdapterError, match="has other adapters"):
        load_lora(pristine, file)
    unload_lora(pristine)
    load_lora(pristine, file)


def test_an_included_layer_that_does_not_fit_is_an_error(trained, pristine, tmp_path):
    file = tmp_path / "adapter.safetensors"
    save_lora(trained, file, include="new_layers")
    with pytest.raises(AdapterError, match=r"'new_layers\.weight' beside the adapters, which"):
        load_lora(pristine, file)
    model = TransferModel(pristine, nn.Linear(6, 4))
    with pytest.raises(AdapterError, match=r"of shape \(2, 6\), where .* has \(4, 6\)"):
        load_lora(model, file)
    assert type(pristine.layer1[0]) is nn.Conv2d


def test_files_of_another_kind_and_damaged_ones_are_errors(trained, pristine, tmp_path):
    file = tmp_path / "adapter.safetensors"
    save_safetensors(file, pristine.state_dict())
    with pytest.raises(WeightsFileError, match="it holds no adapters"):
        load_lora(pristine, file)
    save_lora(trained, file)
    metadata, tensors = safetensors_metadata(file), load_safetensors(file)
    spoiled = {
        "its metadata is damaged": ({**metadata, "layers": "{"}, tensors),
        "do not fit what it says": (metadata, dict(list(tensors.items())[:-1])),
    }
    for message, (changed, kept) in spoiled.items():
        save_safetensors(file, kept, changed)
        with pytest.raises(WeightsFileError, match=message):
            load_lora(pristine, file)
    assert type(pristine.layer1[0]) is nn.Conv2d
    with pytest.raises(AdapterError, match="no adapters to save"):
        save_lora(pristine, file)


def test_a_single_layer_is_a_base_too(tmp_path):
    file = tmp_path / "adapter.safetensors"
    layer = nn.Linear(3, 2)
    twin = copy.deepcopy(layer)
    add_lora(layer, None)
    spoil(layer)
    save_lora(layer, file)
    assert load_lora(twin, file) == [""]
    x = neurenix.ones((1, 3))
    assert values(twin(x)).tobytes() == values(layer(x)).tobytes()
