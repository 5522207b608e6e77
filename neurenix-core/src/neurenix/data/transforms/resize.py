"""Changing the size of images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from neurenix.data.transforms.layout import Picture, Pixels, as_picture, is_floating, working_dtype
from neurenix.data.transforms.transform import Transform
from neurenix.errors import require

if TYPE_CHECKING:
    from PIL import Image

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


@dataclass(frozen=True)
class Resize(Transform):
    """Resize to a given size, or the shorter side to one.

    Bytes (Pillow images and arrays of uint8) are resized by Pillow, and equal torchvision's
    resizing of Pillow images bit for bit. Floats are resized by the same filters, which widen
    when an image shrinks, so that nothing aliases.

    Args:
        size: A number for the shorter side, with the longer one in proportion (rounded down), or
            height and width.
        interpolation: ``"bilinear"``, ``"bicubic"`` or ``"nearest"``.

    Shape:
        ``(H, W[, C])`` -> ``(H', W'[, C])``; ``(..., C, H, W)`` -> ``(..., C, H', W')``.
    """

    size: int | tuple[int, int]
    interpolation: str
    deterministic: ClassVar[bool | None] = True

    def __init__(self, size: int | Sequence[int], interpolation: str = "bilinear") -> None:
        sizes = (size,) if isinstance(size, int) else tuple(size)
        if len(sizes) not in (1, 2) or any(int(value) != value or value < 1 for value in sizes):
            raise ValueError(
                "expected size as a whole number above 0 (the shorter side), or two (height, "
                f"width), got {size}"
            )
        if interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"expected interpolation as one of {INTERPOLATIONS}, got {interpolation!r}"
            )
        normal = int(sizes[0]) if len(sizes) == 1 else (int(sizes[0]), int(sizes[1]))
        self._set(size=normal, interpolation=interpolation)

    def __call__(self, image: Any) -> Any:
        """Resize one image, or several of one size."""
        picture = as_picture(image)
        size = self.size
        if isinstance(size, int):
            size = _in_proportion(picture.height, picture.width, size)
        return resize_picture(picture, size, self.interpolation)


def resize_picture(picture: Picture, size: tuple[int, int], interpolation: str) -> Any:
    """Resize a picture to (height, width) and give it back in its own form."""
    if (picture.height, picture.width) == size:
        return picture.restore(picture.pixels)
    if picture.channels_last:
        height, width = size

        def step(image: Image.Image) -> Image.Image:
            pil_image = require("PIL.Image", install="pip install pillow", purpose="resizing")
            return image.resize((width, height), pil_image.Resampling[interpolation.upper()])

        return picture.through_pillow(step, purpose="resizing photos")
    return picture.restore(resize_planes(picture.pixels, size, interpolation))


def resize_planes(planes: Pixels, size: tuple[int, int], interpolation: str) -> Pixels:
    """Resize the last two axes.

    Every row and column is a weighted mean of those that its filter covers; the filter is as wide
    as a pixel of the result where that is larger.

    Args:
        planes: Floats or bytes.
        size: Height and width of the result.
        interpolation: ``"bilinear"``, ``"bicubic"`` or ``"nearest"``.

    Shape:
        (..., H, W) -> (..., size[0], size[1]).
    """
    height, width = planes.shape[-2:]
    if interpolation == "nearest":
        rows = ((np.arange(size[0]) + 0.5) * (height / size[0])).astype(np.intp)
        columns = ((np.arange(size[1]) + 0.5) * (width / size[1])).astype(np.intp)
        return np.ascontiguousarray(planes[..., rows[:, None], columns])
    working = working_dtype(planes)
    down = _weights(height, size[0], interpolation).astype(working)
    across = _weights(width, size[1], interpolation).astype(working)
    out: Pixels = down @ (planes.astype(working, copy=False) @ across.T)
    if not is_floating(planes):
        out = np.clip(np.rint(out), 0, 255)
    return out.astype(planes.dtype, copy=False)


def _in_proportion(height: int, width: int, shorter: int) -> tuple[int, int]:
    longer = int(shorter * max(height, width) / min(height, width))
    return (shorter, longer) if height <= width else (longer, shorter)


@functools.lru_cache(maxsize=64)
def _weights(length: int, out_length: int, interpolation: str) -> npt.NDArray[np.float64]:
    """The matrix (out_length, length) that resamples one axis."""
    radius, kernel = _FILTERS[interpolation]
    scale = length / out_length
    width = max(scale, 1.0)
    centers = (np.arange(out_length) + 0.5) * scale
    distance = (np.arange(length) + 0.5 - centers[:, None]) / width
    weights = np.where(np.abs(distance) < radius, kernel(np.abs(distance)), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def _triangle(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 1.0 - x


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys' cubic convolution with a = -0.5, the value that both Pillow and torch use here."""
    a = -0.5
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = a * (((x - 5.0) * x + 8.0) * x - 4.0)
    return np.where(x < 1.0, near, far)


_FILTERS: dict[str, tuple[float, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]]] = {
    "bilinear": (1.0, _triangle),
    "bicubic": (2.0, _cubic),
}
