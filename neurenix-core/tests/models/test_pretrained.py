from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import models, nn
from neurenix.io import WeightsFileError, save_safetensors
from neurenix.models import Weights
from neurenix.models.preprocessing import IMAGENET_PREPROCESSING
from neurenix.models.pretrained import load_pretrained


def state_of(model: nn.Module) -> dict[str, Any]:
    return {
        name: neurenix.from_numpy(np.asarray(tensor.numpy() + 1, tensor.numpy().dtype))
        for name, tensor in model.state_dict().items()
    }


def load(model: nn.Module, weights: Weights, path: Any, **options: Any) -> Weights:
    return load_pretrained(model, weights, path, head="fc", **options)


def assert_holds(model: nn.Module, state: dict[str, Any]) -> None:
    held = model.state_dict()
    for name, tensor in state.items():
        np.testing.assert_array_equal(held[name].numpy(), tensor.numpy(), err_msg=name)


def test_a_file_by_its_path(tmp_path: Path, tiny: Any, tiny_weights: Weights) -> None:
    state = state_of(tiny)
    save_safetensors(tmp_path / "a.bin", state)
    loaded = load(tiny, tiny_weights, str(tmp_path / "a.bin"))
    assert_holds(tiny, state)
    assert loaded.path == tmp_path / "a.bin"
    assert loaded.preprocessing == IMAGENET_PREPROCESSING


def test_a_file_in_the_home_is_used_without_a_network(
    home: Path, tiny: Any, tiny_weights: Weights
) -> None:
    state = state_of(tiny)
    (home / "models").mkdir(parents=True)
    save_safetensors(home / "models" / "tiny.safetensors", state)
    load(tiny, tiny_weights, True)
    assert_holds(tiny, state)


def test_preprocessing_in_the_metadata_goes_first(
    tmp_path: Path, tiny: Any, tiny_weights: Weights
) -> None:
    preprocessing = {**IMAGENET_PREPROCESSING, "resize": 64, "crop": 56}
    save_safetensors(tmp_path / "a", state_of(tiny), {"preprocessing": json.dumps(preprocessing)})
    assert load(tiny, tiny_weights, tmp_path / "a").preprocessing == preprocessing


def test_a_broken_preprocessing_in_the_metadata_is_an_error_and_loads_nothing(
    tmp_path: Path, tiny: Any, tiny_weights: Weights
) -> None:
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    save_safetensors(tmp_path / "a", state_of(tiny), {"preprocessing": "{}"})
    with pytest.raises(WeightsFileError, match=r"no sound preprocessing: .*missing: crop"):
        load(tiny, tiny_weights, tmp_path / "a")
    assert_holds(tiny, before)


def test_files_without_batch_counters_and_with_unknown_ones_load(
    tmp_path: Path, tiny: Any, tiny_weights: Weights
) -> None:
    state = state_of(tiny)
    state.pop("bn.num_batches_tracked", None)
    save_safetensors(tmp_path / "without", state)
    load(tiny, tiny_weights, tmp_path / "without")
    assert_holds(tiny, state)
    state["elsewhere.num_batches_tracked"] = neurenix.Tensor(3, dtype=neurenix.int64)
    save_safetensors(tmp_path / "with", state)
    load(tiny, tiny_weights, tmp_path / "with")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_float_dtypes_are_cast_to_the_models(
    tmp_path: Path, tiny: Any, tiny_weights: Weights, dtype: str
) -> None:
    state = state_of(tiny)
    cast = {
        name: tensor.astype(getattr(neurenix, dtype)) if "tracked" not in name else tensor
        for name, tensor in state.items()
    }
    save_safetensors(tmp_path / "a", cast)
    load(tiny, tiny_weights, tmp_path / "a")
    assert tiny.conv.weight.dtype == neurenix.float32
    np.testing.assert_allclose(
        tiny.conv.weight.detach().numpy(), state["conv.weight"].numpy(), rtol=1e-2
    )


def test_integers_for_floats_are_refused(tmp_path: Path, tiny: Any, tiny_weights: Weights) -> None:
    state = state_of(tiny)
    state["conv.weight"] = state["conv.weight"].astype(neurenix.int8)
    save_safetensors(tmp_path / "a", state)
    with pytest.raises(WeightsFileError, match=r"'conv\.weight' has the dtype int8"):
        load(tiny, tiny_weights, tmp_path / "a")


def test_another_number_of_classes_is_named(
    tmp_path: Path, tiny: Any, tiny_weights: Weights
) -> None:
    save_safetensors(tmp_path / "a", state_of(type(tiny)(num_classes=8)))
    with pytest.raises(
        WeightsFileError,
        match=r"'fc' has 8 classes, the model has num_classes=3; .*num_classes=8.*load_head=False",
    ):
        load(tiny, tiny_weights, tmp_path / "a")


def test_the_head_can_be_left_out(tmp_path: Path, tiny: Any, tiny_weights: Weights) -> None:
    head = tiny.fc.weight.detach().numpy().copy()
    other = state_of(type(tiny)(num_classes=8))
    save_safetensors(tmp_path / "a", other)
    load(tiny, tiny_weights, tmp_path / "a", load_head=False)
    np.testing.assert_array_equal(tiny.fc.weight.detach().numpy(), head)
    assert_holds(tiny, {k: v for k, v in other.items() if not k.startswith("fc.")})


def test_weights_of_another_model_list_what_differs_and_change_nothing(
    tmp_path: Path, tiny: Any, tiny_weights: Weights
) -> None:
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    state = state_of(tiny)
    state["stem.weight"] = state.pop("conv.weight")
    state["bn.weight"] = neurenix.ones((9,))
    save_safetensors(tmp_path / "a", state)
    with pytest.raises(WeightsFileError) as caught:
        load(tiny, tiny_weights, tmp_path / "a")
    message = str(caught.value)
    assert "weights are of another model" in message
    assert "missing: conv.weight" in message
    assert "unexpected: stem.weight" in message
    assert "of another shape: bn.weight ([9], expected [4])" in message
    assert_holds(tiny, before)


def test_a_long_list_is_cut(tmp_path: Path, tiny: Any, tiny_weights: Weights) -> None:
    state = state_of(tiny) | {f"extra{i}": neurenix.ones((1,)) for i in range(9)}
    save_safetensors(tmp_path / "a", state)
    with pytest.raises(WeightsFileError, match="extra4 and 4 more"):
        load(tiny, tiny_weights, tmp_path / "a")


def test_what_is_neither_true_nor_a_path(tiny: Any, tiny_weights: Weights) -> None:
    with pytest.raises(TypeError, match=r"pretrained must be True, False or a path, got None"):
        load(tiny, tiny_weights, None)
    with pytest.raises(FileNotFoundError, match=r"absent\.pth: there is no such file"):
        load(tiny, tiny_weights, "absent.pth")


def test_a_resnet_carries_its_weights(assets: Path) -> None:
    path = assets / "weights" / "resnet18.safetensors"
    model = models.resnet18(pretrained=path)
    assert model.weights is not None
    assert model.weights.name == "resnet18"
    assert model.weights.path == path
    assert model.weights.preprocessing["crop"] == 224
    with pytest.raises(WeightsFileError, match=r"'fc' has 1000 classes.*num_classes=2"):
        models.resnet18(pretrained=str(path), num_classes=2)
    with pytest.raises(
        WeightsFileError, match=r"of another model; missing: layer1\.2\.conv1\.weight"
    ):
        models.resnet34(pretrained=path)
    assert models.resnet18(path, num_classes=2, load_head=False).fc.weight.shape == (2, 512)


# ImageNet has five kinds of house cat, 281 to 285.
LABELS = {
    "dog_samoyed_pytorch_hub.jpg": {258},
    "coral_cat_720p.jpg": set(range(281, 286)),
    "coral_hot_dog.jpg": {934},
}


@pytest.mark.parametrize("photo", LABELS)
def test_known_photos_get_their_labels(assets: Path, photo: str) -> None:
    image_module = pytest.importorskip("PIL.Image", reason="Pillow reads the photos")
    model = models.resnet18(pretrained=assets / "weights" / "resnet18.safetensors").eval()
    assert model.weights is not None
    with image_module.open(assets / "photos" / photo) as image:
        tensor = model.weights.transforms()(image.convert("RGB"))
    with neurenix.no_grad():
        logits = model(neurenix.unsqueeze(tensor, 0)).numpy()[0]
    assert int(logits.argmax()) in LABELS[photo]
