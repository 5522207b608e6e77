"""The values that transforms give, against NumPy and numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix.data.draws import drawing_from
from neurenix.data.transforms import (
    CenterCrop,
    ColorJitter,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    Resize,
    ToTensor,
)
from neurenix.data.transforms.color import adjust_planes
from neurenix.data.transforms.geometry import rotate_planes
from neurenix.data.transforms.resize import resize_planes


def ramp(height: int, width: int, channels: int = 1) -> np.ndarray:
    count = channels * height * width
    return np.arange(count, dtype=np.float32).reshape(channels, height, width)


def many(transform: Any, image: np.ndarray, count: int = 200) -> list[np.ndarray]:
    with drawing_from(nx.Generator(1)):
        return [transform(image) for _ in range(count)]


def test_to_tensor() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
    tensor = ToTensor()(pixels)
    assert isinstance(tensor, nx.Tensor)
    assert tensor.dtype == nx.float32
    expected = pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(tensor.numpy(), expected)
    assert ToTensor()(pixels[:, :, 0]).shape == (1, 2, 4)
    planes = np.full((3, 2, 4), 7.0, dtype=np.float64)
    assert ToTensor()(planes).dtype == nx.float32
    np.testing.assert_array_equal(ToTensor()(planes).numpy(), planes)
    assert ToTensor()(nx.Tensor(planes.astype(np.uint8))).numpy().max() == np.float32(7 / 255)
    with pytest.raises(ValueError, match=r"\(C, H, W\), got shape \(8, 9, 3\)"):
        ToTensor()(np.zeros((8, 9, 3), dtype=np.float32))


def test_normalize() -> None:
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    planes = np.random.default_rng(0).random((2, 3, 4, 5), dtype=np.float32)
    expected = np.empty_like(planes)
    for channel in range(3):
        expected[:, channel] = (planes[:, channel] - np.float32(mean[channel])) / np.float32(
            std[channel]
        )
    np.testing.assert_array_equal(Normalize(mean, std)(planes), expected)
    np.testing.assert_array_equal(Normalize(mean, std)(nx.Tensor(planes)).numpy(), expected)
    np.testing.assert_array_equal(Normalize(0.5, 0.25)(planes), (planes - 0.5) / 0.25)
    with pytest.raises(ValueError, match=r"3 channels as .* got shape \(1, 4, 5\), which has 1"):
        Normalize(mean, std)(planes[0, :1])
    with pytest.raises(TypeError, match=r"put ToTensor\(\) before"):
        Normalize(mean, std)(np.zeros((4, 4, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="above 0"):
        Normalize(mean, [0.1, 0.0, 0.1])
    with pytest.raises(ValueError, match="got 3 and 1"):
        Normalize(mean, 1.0)


@pytest.mark.parametrize(
    ("height", "width", "size", "expected"),
    [
        (375, 500, 256, (256, 341)),  # 341.33 rounded down
        (500, 375, 256, (341, 256)),
        (100, 100, 256, (256, 256)),
        (1, 300, 2, (2, 600)),
        (20, 10, (7, 9), (7, 9)),
        (20, 10, [7], (14, 7)),
    ],
)
def test_resize_gives_the_size(
    height: int, width: int, size: Any, expected: tuple[int, int]
) -> None:
    assert Resize(size)(ramp(height, width)).shape[1:] == expected


def test_resize_of_photos_gives_the_same_size() -> None:
    pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    photo = np.zeros((375, 500, 3), np.uint8)
    assert Resize(256)(photo).shape == (256, 341, 3)
    assert Resize((7, 9))(photo).shape == (7, 9, 3)


def test_resize_of_floats_by_hand() -> None:
    row = np.array([[[0.0, 4.0, 8.0, 12.0]]], dtype=np.float32)
    # Halving: each triangle covers four pixels with 1, 3, 3, 1 eighths, cut off at the border.
    expected = [(0 * 3 + 4 * 3 + 8) / 7, (4 + 8 * 3 + 12 * 3) / 7]
    np.testing.assert_allclose(resize_planes(row, (1, 2), "bilinear")[0, 0], expected, rtol=1e-6)
    # Doubling: the nearest pixel counts three quarters, the one beside it a quarter.
    expected = [0, 1, 3, 5, 7, 9, 11, 12]
    np.testing.assert_allclose(resize_planes(row, (1, 8), "bilinear")[0, 0], expected, rtol=1e-6)
    assert resize_planes(row, (1, 2), "nearest")[0, 0].tolist() == [4, 12]
    assert resize_planes(row, (3, 4), "nearest")[0].tolist() == [row[0, 0].tolist()] * 3


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_resize_keeps_what_is_constant(interpolation: str) -> None:
    flat = np.full((2, 13, 29), 0.3, dtype=np.float32)
    for size in ((5, 5), (40, 31), (13, 60)):
        out = resize_planes(flat, size, interpolation)
        np.testing.assert_allclose(out, np.full((2, *size), 0.3), rtol=1e-6)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resize_of_floats_is_that_of_pillow(interpolation: str) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    plane = np.random.default_rng(0).random((37, 51), dtype=np.float32)
    for height, width in ((20, 20), (64, 80), (37, 10)):
        filter_ = image.Resampling[interpolation.upper()]
        expected = np.asarray(image.fromarray(plane).resize((width, height), filter_))
        out = resize_planes(plane, (height, width), interpolation)
        np.testing.assert_allclose(out, expected, atol=2e-6)


def test_center_crop() -> None:
    planes = ramp(7, 9, 2)
    np.testing.assert_array_equal(CenterCrop((3, 5))(planes), planes[:, 2:5, 2:7])
    np.testing.assert_array_equal(CenterCrop(7)(planes), planes[:, :, 1:8])
    # Halves go to the even number: 0.5 to 0, 1.5 to 2.
    np.testing.assert_array_equal(CenterCrop((6, 6))(planes), planes[:, 0:6, 2:8])
    small = CenterCrop((9, 4))(ramp(6, 2))
    expected = np.zeros((9, 4), dtype=np.float32)
    expected[1:7, 1:3] = ramp(6, 2)[0]
    np.testing.assert_array_equal(small[0], expected)


def test_random_crop_takes_every_place_evenly() -> None:
    image = ramp(5, 6)
    counts: dict[int, int] = {}
    for crop in many(RandomCrop((4, 4)), image, 600):
        first = int(crop[0, 0, 0])
        top, left = divmod(first, 6)
        np.testing.assert_array_equal(crop, image[:, top : top + 4, left : left + 4])
        counts[first] = counts.get(first, 0) + 1
    assert sorted(counts) == [0, 1, 2, 6, 7, 8]
    assert min(counts.values()) > 60  # 100 expected of each


def test_random_crop_pads_with_the_fill() -> None:
    image = ramp(4, 4) + 1
    padded = np.pad(image, ((0, 0), (2, 4), (1, 3)), constant_values=-1)
    places = [
        (top, left)
        for crop in many(RandomCrop(4, padding=(1, 2, 3, 4), fill=-1), image)
        for top in range(7)
        for left in range(5)
        if np.array_equal(crop, padded[:, top : top + 4, left : left + 4])
    ]
    assert len(places) >= 200
    assert {top for top, _ in places} == set(range(7))
    assert {left for _, left in places} == set(range(5))


def test_random_crop_of_a_smaller_image() -> None:
    with pytest.raises(ValueError, match=r"at least 224 x 224 .* got 200 x 215; put Resize before"):
        RandomCrop(224)(np.zeros((3, 200, 215), dtype=np.float32))
    with pytest.raises(ValueError, match=r"got 200 x 215 \(208 x 223 padded\)"):
        RandomCrop(224, padding=4)(np.zeros((3, 200, 215), dtype=np.float32))
    assert RandomCrop(224, padding=12)(np.zeros((3, 200, 215), np.float32)).shape[1:] == (224, 224)
    assert RandomCrop(8, pad_if_needed=True)(ramp(3, 5)).shape == (1, 8, 8)
    exact = RandomCrop((3, 5))(ramp(3, 5))
    np.testing.assert_array_equal(exact, ramp(3, 5))


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric"])
def test_random_crop_padding_modes(mode: str) -> None:
    image = ramp(4, 4)
    padded = np.pad(image, ((0, 0), (2, 2), (2, 2)), mode=mode)  # type: ignore[call-overload]
    crop = RandomCrop(8, padding=2, padding_mode=mode)(image)
    np.testing.assert_array_equal(crop, padded)


def test_random_resized_crop_stays_in_its_ranges() -> None:
    crop = RandomResizedCrop(8, scale=(0.2, 0.5), ratio=(0.5, 2.0))
    with drawing_from(nx.Generator(0)):
        drawn = np.array([crop._rectangle(100, 120) for _ in range(400)])
    top, left, height, width = drawn.T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 100).all()
    assert (left + width <= 120).all()
    area, ratio = height * width / 12_000, width / height
    assert area.min() > 0.19
    assert area.max() < 0.51
    assert abs(area.mean() - 0.35) < 0.02  # evenly distributed
    assert ratio.min() > 0.48
    assert ratio.max() < 2.1
    assert abs(np.log(ratio).mean()) < 0.06


def test_random_resized_crop_falls_back_to_the_middle() -> None:
    crop = RandomResizedCrop(8, scale=(1.0, 1.0), ratio=(1.0, 1.0))
    assert crop._rectangle(10, 100) == (0, 45, 10, 10)
    assert crop._rectangle(100, 10) == (45, 0, 10, 10)
    assert crop(ramp(10, 100)).shape == (1, 8, 8)


def test_flip_probability() -> None:
    image = ramp(2, 3)
    flips = [bool(out[0, 0, 0]) for out in many(RandomHorizontalFlip(0.25), image, 400)]
    assert 60 < sum(flips) < 140  # 100 expected
    np.testing.assert_array_equal(RandomHorizontalFlip(1.0)(image), image[:, :, ::-1])
    np.testing.assert_array_equal(RandomHorizontalFlip(0.0)(image), image)
    pixels = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    np.testing.assert_array_equal(RandomHorizontalFlip(1)(pixels), pixels[:, ::-1])
    with pytest.raises(ValueError, match="probability from 0 to 1"):
        RandomHorizontalFlip(1.5)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_quarter_turns_are_exact(interpolation: str) -> None:
    image = ramp(5, 5, 2)
    for quarters in range(-2, 4):
        out = rotate_planes(image, 90.0 * quarters, interpolation, 0)
        np.testing.assert_allclose(out, np.rot90(image, quarters, axes=(1, 2)), atol=1e-4)


def test_rotation_by_hand() -> None:
    """Each pixel of the result, looked up one by one where it was before the turn."""
    image, angle = ramp(6, 9), 25.0
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    nearest, bilinear = np.full((6, 9), -1.0), np.zeros((6, 9))
    for row in range(6):
        for column in range(9):
            y, x = row - 2.5, column - 4.0
            from_x, from_y = cosine * x - sine * y + 4.0, sine * x + cosine * y + 2.5
            near = (round(from_y), round(from_x))
            if 0 <= near[0] < 6 and 0 <= near[1] < 9:
                nearest[row, column] = image[0][near]
            for r in (math.floor(from_y), math.floor(from_y) + 1):
                for c in (math.floor(from_x), math.floor(from_x) + 1):
                    value = image[0, r, c] if 0 <= r < 6 and 0 <= c < 9 else -1.0
                    weight = (1 - abs(from_y - r)) * (1 - abs(from_x - c))
                    bilinear[row, column] += weight * value
    np.testing.assert_array_equal(rotate_planes(image, angle, "nearest", -1)[0], nearest)
    out = rotate_planes(image, angle, "bilinear", -1)[0]
    np.testing.assert_allclose(out, bilinear, atol=1e-4)


def test_rotation_by_ten_degrees_is_ten_to_either_side() -> None:
    assert RandomRotation(10).degrees == (-10.0, 10.0)
    # A dot far to the right of the middle moves up by the sine of the angle.
    image = np.zeros((1, 401, 401), dtype=np.float32)
    image[0, 199:202, 385:388] = 1
    angles = []
    for out in many(RandomRotation(10, "bilinear"), image, 60):
        rows, columns = np.mgrid[0:401, 0:401] - 200
        up, right = -(out[0] * rows).sum(), (out[0] * columns).sum()
        angles.append(math.degrees(math.atan2(up, right)))
    assert -10.1 < min(angles) < -7
    assert 7 < max(angles) < 10.1
    with pytest.raises(ValueError, match="at least 0, got -5"):
        RandomRotation(-5)
    with pytest.raises(ValueError, match=r"\(smallest, largest\)"):
        RandomRotation((5, -5))


def reference_hue(rgb: np.ndarray, shift: float) -> np.ndarray:
    import colorsys

    out = np.empty_like(rgb)
    for row in range(rgb.shape[1]):
        for column in range(rgb.shape[2]):
            hue, saturation, value = colorsys.rgb_to_hsv(*rgb[:, row, column].tolist())
            out[:, row, column] = colorsys.hsv_to_rgb((hue + shift) % 1.0, saturation, value)
    return out


@pytest.mark.parametrize("shift", [-0.5, -0.2, 0.0, 0.1, 0.37, 0.5])
def test_hue_is_that_of_colorsys(shift: float) -> None:
    rgb = np.random.default_rng(0).random((3, 12, 12))
    rgb[:, 0] = 0.4  # gray has no hue
    rgb[:, 1, :3] = np.eye(3)
    np.testing.assert_allclose(
        adjust_planes(rgb, [("hue", shift)]), reference_hue(rgb, shift), atol=1e-12
    )


def test_brightness_contrast_and_saturation_by_hand() -> None:
    rgb = np.random.default_rng(0).random((3, 4, 5))
    gray = 0.2989 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]
    cases = {
        "brightness": np.zeros_like(rgb),
        "contrast": np.full_like(rgb, gray.mean()),
        "saturation": np.broadcast_to(gray, rgb.shape),
    }
    for name, other in cases.items():
        for amount in (0.0, 0.5, 1.0, 2.0):
            expected = np.clip(amount * rgb + (1 - amount) * other, 0, 1)
            np.testing.assert_allclose(adjust_planes(rgb, [(name, amount)]), expected, atol=1e-12)
    one = rgb[:1]
    np.testing.assert_array_equal(adjust_planes(one, [("hue", 0.3), ("saturation", 0.1)]), one)


def test_color_jitter_ranges() -> None:
    image = np.full((3, 2, 2), 0.4, dtype=np.float32)
    factors = [out[0, 0, 0] / 0.4 for out in many(ColorJitter(brightness=0.5), image)]
    assert 0.5 <= min(factors) < 0.55
    assert 1.45 < max(factors) <= 1.5001
    assert ColorJitter(brightness=2).brightness == (0.0, 3.0)
    assert ColorJitter(contrast=(0.9, 1.2)).contrast == (0.9, 1.2)
    np.testing.assert_array_equal(ColorJitter()(image), image)
    for options in (
        {"hue": 0.6},
        {"brightness": -1},
        {"contrast": (2, 1)},
        {"saturation": (-1, 1)},
    ):
        with pytest.raises(ValueError, match=f"expected {next(iter(options))}"):
            ColorJitter(**options)  # type: ignore[arg-type]


def test_color_jitter_changes_in_every_order() -> None:
    rgb = np.random.default_rng(0).random((3, 3, 3), dtype=np.float32) * 0.9
    outs = many(ColorJitter((2, 2), (3, 3)), rgb, 40)
    orders = [("brightness", 2.0), ("contrast", 3.0)]
    expected = [adjust_planes(rgb, orders), adjust_planes(rgb, orders[::-1])]
    seen = [next(i for i, e in enumerate(expected) if np.allclose(out, e)) for out in outs]
    assert set(seen) == {0, 1}


def test_color_jitter_goes_before_normalize() -> None:
    with pytest.raises(ValueError, match=r"got -1 to 0\.5; put ColorJitter before Normalize"):
        ColorJitter(0.5)(np.array([[[-1.0, 0.5]]], dtype=np.float32))


def test_sizes_that_make_no_sense() -> None:
    for transform in (Resize, CenterCrop, RandomCrop, RandomResizedCrop):
        for size in (0, -1, 2.5, (1, 2, 3), (4, 0)):
            with pytest.raises((ValueError, TypeError)):
                transform(size)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="interpolation"):
        Resize(3, "lanczos7")
    with pytest.raises(ValueError, match="padding_mode"):
        RandomCrop(3, padding_mode="wrap")
    with pytest.raises(ValueError, match="padding as 1, 2 or 4"):
        RandomCrop(3, padding=(1, 2, 3))
    with pytest.raises(ValueError, match="scale as 0 < smallest"):
        RandomResizedCrop(3, scale=(0.5, 0.1))
