"""Changing the colours of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from neurenix.data.draws import uniform
from neurenix.data.transforms.layout import Picture, Pixels, as_picture, is_floating, working_dtype
from neurenix.data.transforms.transform import Transform
from neurenix.errors import require

if TYPE_CHECKING:
    from PIL import Image

Range = tuple[float, float]

# ITU-R BT.601, to the four digits that torchvision uses.
_LUMA = (0.2989, 0.587, 0.114)


@dataclass(frozen=True)
class ColorJitter(Transform):
    """Change brightness, contrast, saturation and hue at random, in a random order.

    Args:
        brightness: A number b for factors from 1 - b (at least 0) to 1 + b, or the smallest and
            largest factor; 0 changes nothing. A factor of 0 gives black.
        contrast: The same; a factor of 0 gives the mean gray.
        saturation: The same; a factor of 0 gives shades of gray.
        hue: A number h for shifts from -h to h of the full circle, at most 0.5, or the smallest
            and largest shift.

    Shape:
        The image's own, with 1 or 3 channels.

    Raises:
        ValueError: A range is impossible, or the image has values outside of 0 to 1: it goes
            before Normalize.
    """

    brightness: Range | None
    contrast: Range | None
    saturation: Range | None
    hue: Range | None
    deterministic: ClassVar[bool | None] = False

    def __init__(
        self,
        brightness: float | Sequence[float] | None = 0,
        contrast: float | Sequence[float] | None = 0,
        saturation: float | Sequence[float] | None = 0,
        hue: float | Sequence[float] | None = 0,
    ) -> None:
        self._set(
            brightness=_factors("brightness", brightness),
            contrast=_factors("contrast", contrast),
            saturation=_factors("saturation", saturation),
            hue=_shifts(hue),
        )

    def __call__(self, image: Any) -> Any:
        """Change one image, or several of one size alike."""
        picture = as_picture(image)
        draws = uniform(8)  # four amounts, and four keys whose order is the order of the changes
        changes = []
        for position, name in enumerate(("brightness", "contrast", "saturation", "hue")):
            limits: Range | None = getattr(self, name)
            if limits is not None:
                amount = limits[0] + float(draws[position]) * (limits[1] - limits[0])
                changes.append((float(draws[4 + position]), name, amount))
        return adjust(picture, [(name, amount) for _, name, amount in sorted(changes)])


def adjust(picture: Picture, changes: Sequence[tuple[str, float]]) -> Any:
    """Apply changes, given as (name, amount), and give the picture back in its own form."""
    if picture.channels_last:
        return _adjust_bytes(picture, changes)
    pixels = picture.pixels
    if pixels.shape[-3] not in (1, 3):
        raise ValueError(
            f"expected an image of 1 or 3 channels as (..., C, H, W), got shape {pixels.shape}"
        )
    if not is_floating(pixels):
        out = adjust_planes(pixels.astype(np.float32) / np.float32(255), changes)
        return picture.restore(np.rint(out * np.float32(255)).astype(np.uint8))
    if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 1):
        raise ValueError(
            f"expected values from 0 to 1, got {float(pixels.min()):.4g} to "
            f"{float(pixels.max()):.4g}; put ColorJitter before Normalize"
        )
    working = working_dtype(pixels)
    out = adjust_planes(pixels.astype(working, copy=False), changes)
    return picture.restore(out.astype(pixels.dtype, copy=False))


def adjust_planes(planes: Pixels, changes: Sequence[tuple[str, float]]) -> Pixels:
    """Apply changes to values from 0 to 1.

    Shape:
        (..., C, H, W) -> (..., C, H, W), C being 1 or 3.
    """
    for name, amount in changes:
        if name == "brightness":
            planes = _blend(planes, np.zeros_like(planes), amount)
        elif name == "contrast":
            mean = _gray(planes).mean(axis=(-3, -2, -1), keepdims=True)
            planes = _blend(planes, mean, amount)
        elif planes.shape[-3] == 1:
            continue  # gray has neither saturation nor hue
        elif name == "saturation":
            planes = _blend(planes, _gray(planes), amount)
        else:
            planes = _shift_hue(planes, amount)
    return planes


def _blend(planes: Pixels, other: Pixels, amount: float) -> Pixels:
    factor = planes.dtype.type(amount)
    blend: Pixels = np.clip(factor * planes + planes.dtype.type(1.0 - amount) * other, 0, 1)
    return blend


def _gray(planes: Pixels) -> Pixels:
    if planes.shape[-3] == 1:
        return planes
    red, green, blue = (planes[..., channel, :, :] for channel in range(3))
    r, g, b = (planes.dtype.type(weight) for weight in _LUMA)
    gray: Pixels = np.expand_dims(r * red + g * green + b * blue, -3)
    return gray


def _shift_hue(planes: Pixels, shift: float) -> Pixels:
    """Turn the colour circle: each channel is value minus chroma times a trapezoid of the hue."""
    value = planes.max(axis=-3, keepdims=True)
    chroma = value - planes.min(axis=-3, keepdims=True)
    red, green, blue = (planes[..., channel : channel + 1, :, :] for channel in range(3))
    divisor = np.where(chroma == 0, 1, chroma)  # gray: any hue will do
    sixths = np.where(
        value == red,
        (green - blue) / divisor,
        np.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    sixths = sixths + planes.dtype.type(6 * shift)
    # Where each channel's trapezoid stands on the circle of six: red 5, green 3, blue 1.
    starts = np.array([5, 3, 1], dtype=planes.dtype).reshape(3, 1, 1)
    place = np.mod(starts + sixths, 6)
    shifted: Pixels = value - chroma * np.clip(np.minimum(place, 4 - place), 0, 1)
    return shifted


def _adjust_bytes(picture: Picture, changes: Sequence[tuple[str, float]]) -> Any:
    purpose = "changing the colours of photos"
    enhance = require("PIL.ImageEnhance", install="pip install pillow", purpose=purpose)
    enhancers: dict[str, Callable[[Image.Image], Any]] = {
        "brightness": enhance.Brightness,
        "contrast": enhance.Contrast,
        "saturation": enhance.Color,
    }

    def step(image: Image.Image) -> Image.Image:
        for name, amount in changes:
            if name == "hue":
                image = _shift_hue_bytes(image, amount)
            else:
                image = enhancers[name](image).enhance(amount)
        return image

    return picture.through_pillow(step, purpose)


def _shift_hue_bytes(image: Image.Image, shift: float) -> Image.Image:
    if image.mode == "L":
        return image
    pil_image = require("PIL.Image", install="pip install pillow", purpose="changing the hue")
    hue, saturation, value = image.convert("HSV").split()
    # Bytes wrap around, and so does the circle of hues.
    turned = (np.asarray(hue).astype(np.int32) + int(shift * 255)).astype(np.uint8)
    bands = (pil_image.fromarray(turned), saturation, value)
    changed: Image.Image = pil_image.merge("HSV", bands).convert(image.mode)
    return changed


def _factors(name: str, given: float | Sequence[float] | None) -> Range | None:
    if given is None:
        return None
    if isinstance(given, int | float):
        if given < 0:
            raise ValueError(f"expected {name} of at least 0, got {given}")
        limits = (max(0.0, 1.0 - given), 1.0 + given)
    else:
        limits = (float(given[0]), float(given[1]))
        if len(given) != 2 or not 0 <= limits[0] <= limits[1]:
            raise ValueError(f"expected {name} as 0 <= smallest <= largest, got {tuple(given)}")
    return None if limits == (1.0, 1.0) else limits


def _shifts(given: float | Sequence[float] | None) -> Range | None:
    if given is None:
        return None
    if isinstance(given, int | float):
        given = (-given, given)
    limits = (float(given[0]), float(given[1]))
    if not -0.5 <= limits[0] <= limits[1] <= 0.5:
        raise ValueError(
            f"expected hue as a number from 0 to 0.5, or two from -0.5 to 0.5, got {given}"
        )
    return None if limits == (0.0, 0.0) else limits
