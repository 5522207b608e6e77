"""Cutting rectangles out of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from neurenix.data.draws import uniform
from neurenix.data.transforms.layout import Picture, as_picture
from neurenix.data.transforms.resize import INTERPOLATIONS, resize_picture
from neurenix.data.transforms.transform import Transform

_PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


@dataclass(frozen=True)
class CenterCrop(Transform):
    """Cut out the middle.

    An image that is smaller is padded with zeros evenly on both sides.

    Args:
        size: Height and width, or one number for both.

    Shape:
        ``(H, W[, C])`` -> ``(size[0], size[1][, C])``;
        ``(..., C, H, W)`` -> ``(..., C, size[0], size[1])``.
    """

    size: tuple[int, int]
    deterministic: ClassVar[bool | None] = True

    def __init__(self, size: int | Sequence[int]) -> None:
        self._set(size=pair_of_sizes(size))

    def __call__(self, image: Any) -> Any:
        """Crop one image."""
        picture = as_picture(image)
        height, width = self.size
        rows, columns = max(0, height - picture.height), max(0, width - picture.width)
        if rows or columns:
            picture = picture.pad(
                (rows // 2, (rows + 1) // 2), (columns // 2, (columns + 1) // 2), mode="constant"
            )
        # Halves are rounded to the even number, as torchvision does.
        top = round((picture.height - height) / 2)
        left = round((picture.width - width) / 2)
        return picture.restore(picture.crop(top, left, height, width))


@dataclass(frozen=True)
class RandomCrop(Transform):
    """Cut out a rectangle at a random place.

    Args:
        size: Height and width, or one number for both.
        padding: Pixels added before: one number for all sides, two for left and right and for top
            and bottom, or four for left, top, right and bottom.
        pad_if_needed: Whether a smaller image is padded to the size instead of refused.
        fill: The value of the padding.
        padding_mode: ``"constant"``, ``"edge"``, ``"reflect"`` or ``"symmetric"``.

    Shape:
        ``(H, W[, C])`` -> ``(size[0], size[1][, C])``;
        ``(..., C, H, W)`` -> ``(..., C, size[0], size[1])``.

    Raises:
        ValueError: The image, with its padding, is smaller than the size.
    """

    size: tuple[int, int]
    padding: tuple[int, int, int, int] | None
    pad_if_needed: bool
    fill: float
    padding_mode: str
    deterministic: ClassVar[bool | None] = False

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: float = 0,
        padding_mode: str = "constant",
    ) -> None:
        if padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"expected padding_mode as one of {_PADDING_MODES}, got {padding_mode!r}"
            )
        self._set(
            size=pair_of_sizes(size),
            padding=None if padding is None else _four_sides(padding),
            pad_if_needed=bool(pad_if_needed),
            fill=fill,
            padding_mode=padding_mode,
        )

    def __call__(self, image: Any) -> Any:
        """Crop one image, or several of one size at one place."""
        original = picture = as_picture(image)
        height, width = self.size
        if self.padding is not None:
            left, top, right, bottom = self.padding
            picture = self._pad(picture, (top, bottom), (left, right))
        if self.pad_if_needed and picture.width < width:
            missing = width - picture.width
            picture = self._pad(picture, (0, 0), (missing, missing))
        if self.pad_if_needed and picture.height < height:
            missing = height - picture.height
            picture = self._pad(picture, (missing, missing), (0, 0))
        if picture.height < height or picture.width < width:
            padded = "" if self.padding is None else f" ({picture.height} x {picture.width} padded)"
            raise ValueError(
                f"expected an image of at least {height} x {width} (height x width) to crop from, "
                f"got {original.height} x {original.width}{padded}; put Resize before RandomCrop, "
                "or set padding or pad_if_needed=True"
            )
        draws = uniform(2)
        top = int(draws[0] * (picture.height - height + 1))
        left = int(draws[1] * (picture.width - width + 1))
        return picture.restore(picture.crop(top, left, height, width))

    def _pad(self, picture: Picture, rows: tuple[int, int], columns: tuple[int, int]) -> Picture:
        if self.padding_mode == "constant":
            return picture.pad(rows, columns, mode="constant", constant_values=self.fill)
        return picture.pad(rows, columns, mode=self.padding_mode)


@dataclass(frozen=True)
class RandomResizedCrop(Transform):
    """Cut out a rectangle of random place, area and shape, and resize it.

    The area and the logarithm of the width to height ratio are uniform. After ten rectangles that
    do not fit, the largest one in the middle whose ratio is allowed is taken.

    Args:
        size: Height and width of the result, or one number for both.
        scale: The smallest and largest part of the area to cut out.
        ratio: The smallest and largest ratio of width to height.
        interpolation: ``"bilinear"``, ``"bicubic"`` or ``"nearest"``.

    Shape:
        ``(H, W[, C])`` -> ``(size[0], size[1][, C])``;
        ``(..., C, H, W)`` -> ``(..., C, size[0], size[1])``.

    Reference:
        Szegedy et al., "Going Deeper with Convolutions", 2015.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    ratio: tuple[float, float]
    interpolation: str
    deterministic: ClassVar[bool | None] = False

    _ATTEMPTS: ClassVar[int] = 10

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: str = "bilinear",
    ) -> None:
        for name, (low, high) in (("scale", tuple(scale)), ("ratio", tuple(ratio))):
            if not 0 < low <= high:
                raise ValueError(f"expected {name} as 0 < smallest <= largest, got {(low, high)}")
        if interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"expected interpolation as one of {INTERPOLATIONS}, got {interpolation!r}"
            )
        self._set(
            size=pair_of_sizes(size),
            scale=(float(scale[0]), float(scale[1])),
            ratio=(float(ratio[0]), float(ratio[1])),
            interpolation=interpolation,
        )

    def __call__(self, image: Any) -> Any:
        """Crop and resize one image, or several of one size at one place."""
        picture = as_picture(image)
        pixels = picture.crop(*self._rectangle(picture.height, picture.width))
        part = Picture(pixels, picture.channels_last, picture.restore)
        return resize_picture(part, self.size, self.interpolation)

    def _rectangle(self, height: int, width: int) -> tuple[int, int, int, int]:
        # All draws at once: how many attempts one sample takes shifts nothing that follows.
        draws = uniform(4 * self._ATTEMPTS).reshape(self._ATTEMPTS, 4)
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        for area_draw, ratio_draw, top_draw, left_draw in draws:
            scale = self.scale[0] + area_draw * (self.scale[1] - self.scale[0])
            area = height * width * scale
            ratio = math.exp(low + ratio_draw * (high - low))
            h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < h <= height and 0 < w <= width:
                top, left = int(top_draw * (height - h + 1)), int(left_draw * (width - w + 1))
                return top, left, h, w
        ratio = float(np.clip(width / height, *self.ratio))
        h, w = min(height, round(width / ratio)), min(width, round(height * ratio))
        return (height - h) // 2, (width - w) // 2, max(1, h), max(1, w)


def pair_of_sizes(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width from one number or two.

    Raises:
        ValueError: There are more numbers, or one is below 1.
    """
    sizes = (size, size) if isinstance(size, int) else tuple(size)
    if len(sizes) == 1:
        sizes = (sizes[0], sizes[0])
    if len(sizes) != 2 or any(int(value) != value or value < 1 for value in sizes):
        raise ValueError(
            f"expected size as a whole number above 0, or two (height, width), got {size}"
        )
    return int(sizes[0]), int(sizes[1])


def _four_sides(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    sides = (padding,) if isinstance(padding, int) else tuple(padding)
    if len(sides) not in (1, 2, 4) or any(int(side) != side or side < 0 for side in sides):
        raise ValueError(
            f"expected padding as 1, 2 or 4 whole numbers of at least 0, got {padding}"
        )
    left, top, right, bottom = (sides * 4)[:4]
    return int(left), int(top), int(right), int(bottom)
