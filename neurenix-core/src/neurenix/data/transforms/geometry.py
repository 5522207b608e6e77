"""Mirroring and turning images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from neurenix.data.draws import uniform
from neurenix.data.transforms.layout import Picture, Pixels, as_picture, is_floating, working_dtype
from neurenix.data.transforms.transform import Transform
from neurenix.errors import require

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class RandomHorizontalFlip(Transform):
    """Mirror left and right with a given probability.

    Args:
        p: The probability.

    Shape:
        The image's own.
    """

    p: float = 0.5
    deterministic: ClassVar[bool | None] = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.p <= 1.0:
            raise ValueError(f"expected p as a probability from 0 to 1, got {self.p}")

    def __call__(self, image: Any) -> Any:
        """Mirror one image, or not."""
        picture = as_picture(image)
        pixels = picture.pixels
        if uniform(1)[0] < self.p:
            pixels = pixels[:, ::-1] if picture.channels_last else pixels[..., ::-1]
        return picture.restore(pixels)


@dataclass(frozen=True)
class RandomRotation(Transform):
    """Turn by a random angle about the middle; the size stays.

    Args:
        degrees: The largest angle to either side, so that 10 means -10 to 10, or the smallest and
            the largest. Positive angles turn counter-clockwise.
        interpolation: ``"nearest"`` or ``"bilinear"``.
        fill: The value of what comes in from outside.

    Shape:
        The image's own.

    Raises:
        ValueError: A single number is negative, or the smallest angle exceeds the largest.
    """

    degrees: tuple[float, float]
    interpolation: str
    fill: float
    deterministic: ClassVar[bool | None] = False

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: str = "nearest",
        fill: float = 0,
    ) -> None:
        if isinstance(degrees, int | float):
            if degrees < 0:
                raise ValueError(f"expected a number of degrees of at least 0, got {degrees}")
            degrees = (-degrees, degrees)
        if len(degrees) != 2 or degrees[0] > degrees[1]:
            raise ValueError(f"expected degrees as (smallest, largest), got {tuple(degrees)}")
        if interpolation not in ("nearest", "bilinear"):
            raise ValueError(
                f"expected interpolation as 'nearest' or 'bilinear', got {interpolation!r}"
            )
        self._set(
            degrees=(float(degrees[0]), float(degrees[1])), interpolation=interpolation, fill=fill
        )

    def __call__(self, image: Any) -> Any:
        """Turn one image, or several by one angle."""
        low, high = self.degrees
        angle = low + float(uniform(1)[0]) * (high - low)
        return rotate_picture(as_picture(image), angle, self.interpolation, self.fill)


def rotate_picture(picture: Picture, angle: float, interpolation: str, fill: float) -> Any:
    """Turn a picture counter-clockwise by an angle in degrees and give it back in its own form."""
    if not picture.channels_last:
        return picture.restore(rotate_planes(picture.pixels, angle, interpolation, fill))

    def step(image: Image.Image) -> Image.Image:
        pil_image = require("PIL.Image", install="pip install pillow", purpose="turning photos")
        bands = len(image.getbands())
        color = int(fill) if bands == 1 else (int(fill),) * bands
        filter_ = pil_image.Resampling[interpolation.upper()]
        return image.rotate(angle, filter_, fillcolor=color)

    return picture.through_pillow(step, purpose="turning photos")


def rotate_planes(planes: Pixels, angle: float, interpolation: str, fill: float) -> Pixels:
    """Turn the last two axes counter-clockwise about their middle.

    Each pixel of the result is looked up where it was before the turn; outside of the image lies
    ``fill``.

    Shape:
        (..., H, W) -> (..., H, W).
    """
    height, width = planes.shape[-2:]
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    down = np.arange(height)[:, None] - (height - 1) / 2
    across = np.arange(width) - (width - 1) / 2
    # Rows count downwards, hence the signs.
    columns = cosine * across - sine * down + (width - 1) / 2
    rows = sine * across + cosine * down + (height - 1) / 2
    if interpolation == "nearest":
        return _look_up(planes, np.rint(rows), np.rint(columns), fill)
    top, left = np.floor(rows), np.floor(columns)
    working = working_dtype(planes)
    out = np.zeros(planes.shape, dtype=working)
    for row, row_weight in ((top, top + 1 - rows), (top + 1, rows - top)):
        for column, column_weight in ((left, left + 1 - columns), (left + 1, columns - left)):
            weight = (row_weight * column_weight).astype(working)
            out += weight * _look_up(planes, row, column, fill).astype(working, copy=False)
    if not is_floating(planes):
        out = np.rint(out)
    return out.astype(planes.dtype, copy=False)


def _look_up(planes: Pixels, rows: Pixels, columns: Pixels, fill: float) -> Pixels:
    height, width = planes.shape[-2:]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    row = np.clip(rows, 0, height - 1).astype(np.intp)
    column = np.clip(columns, 0, width - 1).astype(np.intp)
    return np.where(inside, planes[..., row, column], planes.dtype.type(fill))
