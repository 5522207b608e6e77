from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import neurenix
from neurenix import models, nn
from neurenix.io import load_safetensors

# From torchvision's documentation of each architecture.
PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}


@pytest.fixture(scope="module")
def resnet18() -> models.ResNet:
    neurenix.manual_seed(0)
    return models.resnet18(num_classes=5)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_as_many_as_in_the_original(name: str) -> None:
    with nn.init.skip():
        model = models.create(name)
    assert sum(parameter.size for parameter in model.parameters()) == PARAMETERS[name]
    assert model.num_features == (512 if name in ("resnet18", "resnet34") else 2048)
    assert model.head == "fc"
    assert model.fc.weight.shape == (1000, model.num_features)
    assert model.weights is None


def test_state_dict_names_and_shapes_are_the_originals(
    assets: Path, resnet18: models.ResNet
) -> None:
    original = load_safetensors(assets / "weights" / "resnet18.safetensors")
    state = resnet18.state_dict()
    assert set(state) == set(original)
    for name, tensor in state.items():
        if not name.startswith("fc."):
            assert tensor.shape == original[name].shape, name


def test_bottleneck_names_are_the_originals() -> None:
    with nn.init.skip():
        state = models.create("resnet50").state_dict()
    for name, shape in {
        "layer1.0.conv1.weight": (64, 64, 1, 1),
        "layer1.0.conv3.weight": (256, 64, 1, 1),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer2.0.conv2.weight": (128, 128, 3, 3),
        "layer2.0.downsample.1.running_var": (512,),
        "layer4.2.bn3.bias": (2048,),
    }.items():
        assert tuple(state[name].shape) == shape, name
    assert "layer1.1.downsample.0.weight" not in state


def test_forward_is_features_and_head(resnet18: models.ResNet) -> None:
    resnet18.eval()
    x = neurenix.randn((2, 3, 65, 97), generator=neurenix.Generator(1))
    with neurenix.no_grad():
        features = resnet18.forward_features(x)
        pooled = resnet18.forward_head(features, pre_logits=True)
        logits = resnet18.forward_head(features)
        assert features.shape == (2, 512, 3, 4)
        assert pooled.shape == (2, 512)
        np.testing.assert_allclose(
            pooled.numpy(), features.numpy().mean(axis=(2, 3)), rtol=1e-5, atol=1e-6
        )
        np.testing.assert_array_equal(logits.numpy(), resnet18(x).numpy())
    assert logits.shape == (2, 5)


def test_a_bottleneck_has_its_stride_in_the_3x3_convolution() -> None:
    with nn.init.skip():
        block = models.create("resnet50").layer2[0]
    assert [conv.stride for conv in (block.conv1, block.conv2, block.conv3)] == [
        (1, 1),
        (2, 2),
        (1, 1),
    ]


def test_every_parameter_gets_a_gradient(resnet18: models.ResNet) -> None:
    resnet18.train()
    x = neurenix.randn((2, 3, 64, 64), generator=neurenix.Generator(2))
    loss = nn.functional.cross_entropy(resnet18(x), neurenix.Tensor([1, 4], dtype=neurenix.int64))
    loss.backward()
    for name, parameter in resnet18.named_parameters():
        assert parameter.grad is not None, name
        assert np.abs(parameter.grad.numpy()).max() > 0, name
    for parameter in resnet18.parameters():
        parameter.grad = None


def test_convolutions_start_with_the_fan_out_scale(resnet18: models.ResNet) -> None:
    weight = resnet18.layer3[1].conv1.weight.detach().numpy()
    assert weight.std() == pytest.approx(np.sqrt(2 / (256 * 9)), rel=0.01)
    assert abs(weight.mean()) < 1e-3


def test_the_same_seed_gives_the_same_model(resnet18: models.ResNet) -> None:
    neurenix.manual_seed(0)
    again = models.resnet18(num_classes=5)
    parameters = dict(resnet18.named_parameters())
    for name, value in again.named_parameters():
        np.testing.assert_array_equal(
            value.detach().numpy(), parameters[name].detach().numpy(), err_msg=name
        )


def test_unsound_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="num_classes must be positive, got 0"):
        models.resnet18(num_classes=0)
    with pytest.raises(ValueError, match="four stages"):
        models.ResNet(models.resnet.BasicBlock, (2, 2, 2))
