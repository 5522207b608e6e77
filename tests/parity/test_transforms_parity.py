"""Transforms beside torchvision's, on the same pixels. Runs where torchvision is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurenix.data.transforms import (
    CenterCrop,
    Compose,
    Normalize,
    RandomResizedCrop,
    Resize,
    ToTensor,
)
from neurenix.data.transforms.color import adjust
from neurenix.data.transforms.geometry import rotate_picture
from neurenix.data.transforms.layout import as_picture

torch = pytest.importorskip("torch", reason="PyTorch is not installed (tox -e parity has it)")
peer = pytest.importorskip("torchvision.transforms", reason="torchvision is not installed")
functional = pytest.importorskip("torchvision.transforms.functional")

pytestmark = pytest.mark.parity
Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SIZES = [(375, 500), (500, 333), (256, 256), (255, 257), (64, 48), (1, 1), (7, 300)]


def photo(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Smooth shades with noise on them."""
    rng = np.random.default_rng(height * 1000 + width)
    rows, columns = np.mgrid[0:height, 0:width]
    shades = 127 + 90 * np.sin(rows / 17 + columns / 23)
    noisy = shades[..., None] + rng.normal(0, 25, (height, width, channels))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def planes(height: int, width: int) -> np.ndarray:
    return photo(height, width).transpose(2, 0, 1).astype(np.float32) / 255


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("target", [256, 224, 32, [48, 80]])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_resize_of_photos_is_bitwise_equal(
    size: tuple[int, int], target: Any, interpolation: str
) -> None:
    pixels = photo(*size)
    mode = functional.InterpolationMode(interpolation)
    expected = np.asarray(peer.Resize(target, interpolation=mode)(Image.fromarray(pixels)))
    ours = Resize(target, interpolation)
    np.testing.assert_array_equal(ours(pixels), expected)
    np.testing.assert_array_equal(np.asarray(ours(Image.fromarray(pixels))), expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resize_of_floats(size: tuple[int, int], interpolation: str) -> None:
    values = planes(*size)
    mode = functional.InterpolationMode(interpolation)
    expected = peer.Resize([50, 70], interpolation=mode, antialias=True)(torch.tensor(values))
    np.testing.assert_allclose(Resize([50, 70], interpolation)(values), expected.numpy(), atol=3e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("target", [224, 31, [40, 400]])
def test_center_crop_is_bitwise_equal(size: tuple[int, int], target: Any) -> None:
    pixels = photo(*size)
    expected = np.asarray(peer.CenterCrop(target)(Image.fromarray(pixels)))
    np.testing.assert_array_equal(CenterCrop(target)(pixels), expected)
    expected = peer.CenterCrop(target)(torch.tensor(planes(*size))).numpy()
    np.testing.assert_array_equal(CenterCrop(target)(planes(*size)), expected)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_to_tensor_is_bitwise_equal(channels: int) -> None:
    values = np.arange(256, dtype=np.uint8).repeat(3 * channels)[: 256 * 3 * channels]
    pixels = values.reshape(-1, 16, channels)
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    expected = peer.ToTensor()(image).numpy()
    np.testing.assert_array_equal(ToTensor()(pixels).numpy(), expected)
    np.testing.assert_array_equal(ToTensor()(image).numpy(), expected)


@pytest.mark.parametrize("size", SIZES)
def test_the_preprocessing_of_photos_is_bitwise_equal(size: tuple[int, int]) -> None:
    pixels = photo(*size)
    theirs = peer.Compose(
        [peer.Resize(256), peer.CenterCrop(224), peer.ToTensor(), peer.Normalize(MEAN, STD)]
    )
    ours = Compose([Resize(256), CenterCrop(224), ToTensor(), Normalize(MEAN, STD)])
    expected = theirs(Image.fromarray(pixels)).numpy()
    np.testing.assert_array_equal(ours(pixels).numpy(), expected)


@pytest.mark.parametrize("angle", [10.0, -7.5, 45.0, 90.0, 180.0, 200.0])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_rotation(angle: float, interpolation: str) -> None:
    mode = functional.InterpolationMode(interpolation)
    pixels = photo(60, 80)
    expected = np.asarray(functional.rotate(Image.fromarray(pixels), angle, mode))
    np.testing.assert_array_equal(
        rotate_picture(as_picture(pixels), angle, interpolation, 0), expected
    )
    values = planes(60, 80)
    out = rotate_picture(as_picture(values), angle, interpolation, 0)
    expected = functional.rotate(torch.tensor(values), angle, mode).numpy()
    # Where a pixel's origin lies on the line between two others, rounding decides.
    differs = np.abs(out - expected) > 1e-4
    assert differs.mean() < 0.005


CHANGES = {
    "brightness": functional.adjust_brightness,
    "contrast": functional.adjust_contrast,
    "saturation": functional.adjust_saturation,
    "hue": functional.adjust_hue,
}


@pytest.mark.parametrize(
    ("name", "amount"),
    [
        *((name, f) for name in list(CHANGES)[:3] for f in (0.0, 0.4, 1.0, 1.7)),
        *(("hue", shift) for shift in (-0.5, -0.13, 0.0, 0.07, 0.5)),
    ],
)
def test_color_changes(name: str, amount: float) -> None:
    pixels = photo(40, 50)
    expected = np.asarray(CHANGES[name](Image.fromarray(pixels), amount))
    np.testing.assert_array_equal(adjust(as_picture(pixels), [(name, amount)]), expected)
    values = planes(40, 50)
    expected = CHANGES[name](torch.tensor(values), amount).numpy()
    np.testing.assert_allclose(adjust(as_picture(values), [(name, amount)]), expected, atol=2e-6)


def test_random_resized_crop_has_the_same_distribution() -> None:
    """Mean and spread of the rectangles' areas and ratios agree with torchvision's sampler."""
    ours = RandomResizedCrop(8)
    theirs = peer.RandomResizedCrop(8)
    torch.manual_seed(0)
    probe = torch.zeros(3, 300, 400)
    sampled = np.array(
        [theirs.get_params(probe, list(theirs.scale), list(theirs.ratio))[2:] for _ in range(1500)]
    )
    drawn = np.array([ours._rectangle(300, 400)[2:] for _ in range(1500)])
    for measure in (lambda r: r[:, 0] * r[:, 1] / 120_000, lambda r: np.log(r[:, 1] / r[:, 0])):
        assert abs(measure(drawn).mean() - measure(sampled).mean()) < 0.03
        assert abs(measure(drawn).std() - measure(sampled).std()) < 0.03
