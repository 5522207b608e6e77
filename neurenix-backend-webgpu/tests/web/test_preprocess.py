"""The page's resizing, cropping and normalising, bit for bit as core's transforms do it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurenix.data.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

from .conftest import RunModule, from_text, to_text

CROP = """
const { cropFrame, cropOf } = await import("./preprocess.js");
return given.photos.map(({ pixels, width, height, preprocessing }) => {
  const rgba = bytes(pixels);
  const rows = (first, count) => {
    if (first < 0 || first + count > height) throw new Error(`no rows ${first}, ${count}`);
    return rgba.subarray(first * width * 4, (first + count) * width * 4);
  };
  const image = { width, height, rows };
  return { crop: text(cropOf(image, preprocessing)), frame: cropFrame(image, preprocessing) };
});
"""
NORMALISE = """
const { normalise } = await import("./preprocess.js");
return text(normalise(bytes(given.pixels), given));
"""

# (height, width), shorter side, crop: smaller, larger, narrow, of the same size, and crops that
# reach beyond the image or begin at a half.
SHAPES = [
    ((300, 400), 64, 56),
    ((400, 301), 65, 56),
    ((37, 50), 64, 64),
    ((9, 200), 16, 12),
    ((200, 9), 16, 13),
    ((64, 64), 64, 48),
    ((64, 81), 64, 49),
    ((30, 33), 24, 32),
    ((30, 33), 24, 31),
    ((33, 30), 20, 200),
    ((1, 1), 5, 3),
    ((1, 7), 3, 3),
    ((700, 900), 8, 8),
    ((150, 300), 149, 149),
]
INTERPOLATIONS = ["bilinear", "bicubic", "nearest"]


def random_photo(seed: int, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Noise with flat black and white parts, where sums go beyond a byte."""
    generator = np.random.default_rng([seed, *size])
    pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
    pixels[: size[0] // 3] = generator.choice(np.array([0, 255], np.uint8), (size[0] // 3, 1, 3))
    return pixels


def request(photo: npt.NDArray[np.uint8], shorter: int, crop: int, name: str) -> dict[str, Any]:
    height, width = photo.shape[:2]
    opaque = np.full((height, width, 1), 255, np.uint8)
    return {
        "pixels": to_text(np.concatenate([photo, opaque], axis=2)),
        "width": width,
        "height": height,
        "preprocessing": {"resize": shorter, "crop": crop, "interpolation": name},
    }


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_crops_equal_pillows_bit_for_bit(run_module: RunModule, interpolation: str) -> None:
    photos = [random_photo(seed, size) for seed, (size, _, _) in enumerate(SHAPES)]
    requests = [
        request(photo, shorter, crop, interpolation)
        for photo, (_, shorter, crop) in zip(photos, SHAPES, strict=True)
    ]
    found = run_module(CROP, photos=requests)
    for photo, (size, shorter, crop), answer in zip(photos, SHAPES, found, strict=True):
        expected = Compose([Resize(shorter, interpolation), CenterCrop(crop)])(photo)
        pixels = from_text(answer["crop"], np.uint8).reshape(crop, crop, 3)
        assert np.array_equal(pixels, expected), (size, shorter, crop)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_random_sizes_equal_pillows_bit_for_bit(run_module: RunModule, interpolation: str) -> None:
    generator = np.random.default_rng(3)
    cases = [
        (tuple(map(int, generator.integers(1, 120, 2))), *map(int, generator.integers(1, 60, 2)))
        for _ in range(60)
    ]
    # Where the longer side would be very long, the test would only be slow.
    cases = [(size, *rest) for size, *rest in cases if max(size) < 8 * min(size)]
    photos = [random_photo(seed, size) for seed, (size, _, _) in enumerate(cases)]
    requests = [
        request(photo, shorter, crop, interpolation)
        for photo, (_, shorter, crop) in zip(photos, cases, strict=True)
    ]
    assert len(cases) > 40
    for photo, case, answer in zip(photos, cases, run_module(CROP, photos=requests), strict=True):
        _, shorter, crop = case
        expected = Compose([Resize(shorter, interpolation), CenterCrop(crop)])(photo)
        pixels = from_text(answer["crop"], np.uint8).reshape(crop, crop, 3)
        assert np.array_equal(pixels, expected), case


def test_the_frame_is_the_part_that_is_kept(run_module: RunModule) -> None:
    photo = random_photo(0, (300, 400))
    (answer,) = run_module(CROP, photos=[request(photo, 256, 224, "bilinear")])
    width, left = 341, 58  # 256 * 400 / 300, and half of what the crop leaves of it
    assert answer["frame"] == pytest.approx(
        {"left": left / width, "top": 16 / 256, "width": 224 / width, "height": 224 / 256}
    )


@pytest.mark.parametrize(
    ("mean", "std"),
    [([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), ([0.5], [0.25]), ([0, 0, 0], [1, 1, 1])],
)
def test_normalised_values_equal_cores_bit_for_bit(
    run_module: RunModule, mean: list[float], std: list[float]
) -> None:
    pixels = np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, axis=2)
    expected = Compose([ToTensor(), Normalize(mean, std)])(pixels).numpy()
    found = run_module(NORMALISE, pixels=to_text(pixels), mean=mean, std=std)
    assert np.array_equal(from_text(found, np.uint32), expected.view(np.uint32).ravel())
