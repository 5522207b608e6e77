"""Grad-CAM: its numbers, its default layer, frozen bases, and its errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import neurenix
from neurenix import Tensor, nn
from neurenix.transfer import GradCamError, HeatMap, TransferModel, UnknownLayerError, grad_cam
from neurenix_transfer.insight.heat_map import enlarged

from .conftest import TinyConvNet


class Corners(nn.Module):
    """Class 0 is the brightness of the upper half, class 1 that of the lower, 4 x 4 cells each."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.Conv2d(1, 2, 4, stride=4, bias=False)
        nn.init.ones_(self.cells.weight)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.cells(x)
        return neurenix.stack([maps[:, 0, :2].sum(axis=(1, 2)), maps[:, 1, 2:].sum(axis=(1, 2))], 1)


def test_equals_the_formula(convnet: TinyConvNet, photos: np.ndarray) -> None:
    convnet.eval()
    convnet.requires_grad_(False)
    found = grad_cam(convnet, photos[0], class_=2, layer="layer1")
    # The same by finite differences: the class's logit as a function of each activation.
    maps = convnet.layer1(convnet.relu(convnet.bn1(convnet.conv1(Tensor(photos[:1]))))).numpy()
    weights = np.zeros(maps.shape[1])
    step = 1e-2
    for channel in range(maps.shape[1]):
        moved = maps.copy()
        moved[0, channel] += step  # all places at once: their mean gradient, times their number
        logits = [
            convnet.forward_head(convnet.relu(convnet.layer10(Tensor(each)))).numpy()[0, 2]
            for each in (moved, maps)
        ]
        weights[channel] = (logits[0] - logits[1]) / step / maps[0, channel].size
    expected = np.maximum(np.tensordot(weights, maps[0], 1), 0)
    np.testing.assert_allclose(found.coarse, expected / expected.max(), atol=0.02)
    assert (found.index, found.label, found.layer) == (2, "2", "layer1")


def test_points_at_the_place_that_decides() -> None:
    photo = np.zeros((1, 16, 16), np.float32)
    photo[:, 0:4, 8:12] = 1.0  # speaks for class 0
    found = grad_cam(Corners(), photo, class_=0)
    assert found.coarse.shape == (4, 4)
    assert np.argwhere(found.coarse == 1.0).tolist() == [[0, 2]]
    assert found.score == 16.0
    assert found.values.shape == (16, 16)
    assert np.unravel_index(found.values.argmax(), (16, 16))[0] < 4
    assert not grad_cam(Corners(), photo, class_=1).values[8:].any()


def test_explains_the_most_probable_class_by_default(
    convnet: TinyConvNet, photos: np.ndarray
) -> None:
    convnet.eval()
    best = int(convnet(Tensor(photos[:1])).detach().numpy().argmax())
    assert grad_cam(convnet, photos[:1]).index == best


@pytest.mark.parametrize("frozen", [True, False])
def test_takes_the_last_maps_before_pooling_and_needs_no_trainable_parameter(
    frozen: bool, convnet: TinyConvNet, photos: np.ndarray
) -> None:
    model = TransferModel(convnet, nn.Linear(6, 2), freeze_base=frozen)
    model.train()
    modes = [module.training for module in model.modules()]
    found = grad_cam(model, photos[0], class_=1)
    assert found.layer == "base_model.relu"
    assert found.values.max() > 0
    assert [module.training for module in model.modules()] == modes
    assert all(param.grad is None for param in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    again = grad_cam(model, photos[0], class_=1, layer="relu")
    np.testing.assert_array_equal(found.values, again.values)


def test_frozen_and_unfrozen_give_the_same_map(convnet: TinyConvNet, photos: np.ndarray) -> None:
    model = TransferModel(convnet, nn.Linear(6, 2))
    before = grad_cam(model, photos[0], class_=0, layer="layer1").values
    model.unfreeze_base_model()
    np.testing.assert_array_equal(before, grad_cam(model, photos[0], 0, "layer1").values)


def test_works_without_gradients_switched_on(convnet: TinyConvNet, photos: np.ndarray) -> None:
    with neurenix.no_grad():
        found = grad_cam(convnet, photos[0], class_=0, layer="layer1")
    assert found.coarse.shape == (6, 6)


def test_a_single_output_has_two_classes() -> None:
    neurenix.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1)
    )
    photo = neurenix.randn((3, 8, 8))
    pro, con = grad_cam(model, photo, class_=1), grad_cam(model, photo, class_=0)
    assert pro.score == -con.score
    assert grad_cam(model, photo).index == int(pro.score > 0)
    assert not np.any((pro.coarse > 0) & (con.coarse > 0))


def test_says_what_is_wrong(convnet: TinyConvNet, mlp: nn.Sequential, photos: np.ndarray) -> None:
    with pytest.raises(GradCamError, match="no layer of this Sequential gives feature maps"):
        grad_cam(nn.Sequential(nn.Flatten(), nn.Linear(108, 2)), photos[0])
    with pytest.raises(GradCamError, match="'fc' gives the shape"):
        grad_cam(convnet, photos[0], layer="fc")
    with pytest.raises(UnknownLayerError, match="layer2"):
        grad_cam(convnet, photos[0], layer="layer2")
    with pytest.raises(GradCamError, match="classes are 0 to 4"):
        grad_cam(convnet, photos[0], class_=5)
    with pytest.raises(GradCamError, match="give its number"):
        grad_cam(convnet, photos[0], class_="ants")
    with pytest.raises(GradCamError, match=r"expected one photo .* got \(8, 3, 6, 6\)"):
        grad_cam(convnet, photos)
    with pytest.raises(TypeError, match="Module or a Predictor"):
        grad_cam("resnet18", photos[0])  # type: ignore[arg-type]


class TestPictures:
    @pytest.fixture
    def heat_map(self) -> HeatMap:
        values = np.zeros((8, 8), np.float32)
        values[2, 5] = 1.0
        photo = np.full((8, 8, 3), 90, np.uint8)
        return HeatMap(values, values[:1, :1], 0, "ants", 1.0, "layer4", photo)

    def test_an_overlay_colours_only_what_is_hot(self, heat_map: HeatMap) -> None:
        overlay = heat_map.overlay()
        changed = (overlay != heat_map.photo).any(axis=2)
        assert np.argwhere(changed).tolist() == [[2, 5]]
        assert overlay.dtype == np.uint8
        assert (heat_map.overlay(0.0) == heat_map.photo).all()
        with pytest.raises(ValueError, match="between 0 and 1"):
            heat_map.overlay(2.0)

    def test_is_written_and_drawn(self, heat_map: HeatMap, tmp_path: Path) -> None:
        heat_map.save(tmp_path / "new" / "map.png")
        with Image.open(tmp_path / "new" / "map.png") as picture:
            assert (np.asarray(picture) == heat_map.overlay()).all()
        heat_map.plot(save=tmp_path / "figure.png")
        assert (tmp_path / "figure.png").stat().st_size > 1000
        with pytest.raises(ValueError, match=r"'\.nothing'"):
            heat_map.save(tmp_path / "map.nothing")

    def test_is_enlarged_between_the_centres_of_cells(self) -> None:
        map_ = np.array([[0.0, 1.0]], np.float32)
        np.testing.assert_allclose(enlarged(map_, (2, 4)), [[0, 0.25, 0.75, 1]] * 2)
        grown = enlarged(np.random.default_rng(0).random((7, 7)).astype(np.float32), (224, 224))
        assert grown.shape == (224, 224)
        assert 0 <= grown.min() <= grown.max() <= 1
