"""The forms that an image may take, and the way from each to an array and back.

===========================  ==============  ============================
form                         layout          values
===========================  ==============  ============================
Pillow image                 (H, W[, C])     bytes, 0 to 255
array of uint8               (H, W[, C])     bytes, 0 to 255
array of floats              (..., C, H, W)  any; 0 to 1 after ToTensor
Tensor, of floats or uint8   (..., C, H, W)  any; 0 to 1 after ToTensor
===========================  ==============  ============================

A transform gives back the form that it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurenix.data.photos import rgb_pixels
from neurenix.errors import require
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[Any]

# Modes whose bytes are channels already; the others are converted to RGB.
_PLAIN_MODES = frozenset({"L", "RGB", "RGBA"})


@dataclass(frozen=True)
class Picture:
    """An image as an array.

    Attributes:
        pixels: The array, in the layout of the image's form.
        channels_last: Whether the layout is (H, W[, C]), and not (..., C, H, W).
        restore: Brings an array of the same layout into the image's form.
    """

    pixels: Pixels
    channels_last: bool
    restore: Callable[[Pixels], Any]

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0 if self.channels_last else -2])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1 if self.channels_last else -1])

    def crop(self, top: int, left: int, height: int, width: int) -> Pixels:
        """The pixels of a rectangle, as a view."""
        rows, columns = slice(top, top + height), slice(left, left + width)
        if self.channels_last:
            return self.pixels[rows, columns]
        return self.pixels[..., rows, columns]

    def pad(self, rows: tuple[int, int], columns: tuple[int, int], **how: Any) -> Picture:
        """The picture with rows and columns added before and after (see ``numpy.pad``)."""
        widths = [(0, 0)] * self.pixels.ndim
        first = 0 if self.channels_last else self.pixels.ndim - 2
        widths[first], widths[first + 1] = rows, columns
        return Picture(np.pad(self.pixels, widths, **how), self.channels_last, self.restore)

    def through_pillow(self, step: Callable[[Image.Image], Image.Image], purpose: str) -> Any:
        """Apply a function of Pillow images to the bytes of an (H, W[, C]) picture."""
        pil_image = require("PIL.Image", install="pip install pillow", purpose=purpose)
        one_channel = self.pixels.ndim == 3 and self.pixels.shape[2] == 1
        pixels = self.pixels[:, :, 0] if one_channel else self.pixels
        changed = np.asarray(step(pil_image.fromarray(np.ascontiguousarray(pixels))))
        return self.restore(changed[:, :, None] if one_channel else changed)


def as_picture(image: Any) -> Picture:
    """Recognise the form of an image; see the table above.

    Raises:
        TypeError: It is no image, or its dtype is neither uint8 nor floating.
        ValueError: It has too few or too many axes, or an unusual number of channels.
    """
    if isinstance(image, Tensor):
        array = image.numpy()
        _check_planes(array, "a Tensor")
        device = image.device
        return Picture(array, False, lambda pixels: Tensor(_own(pixels), device=device))
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8:
            _check_planes(image, "an array")
            return Picture(image, False, _own)
        if image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3, 4)):
            return Picture(image, True, _own)
        raise ValueError(
            "expected an array of bytes as (H, W) or (H, W, C) with 1, 3 or 4 channels, got shape "
            f"{image.shape}; ToTensor() gives (C, H, W)"
        )
    if hasattr(image, "getbands"):  # a Pillow image, without importing Pillow
        plain = image.mode in _PLAIN_MODES
        return Picture(np.asarray(image) if plain else rgb_pixels(image), True, _to_pillow)
    raise TypeError(
        "expected an image as a Tensor, a NumPy array or a Pillow image, "
        f"got {type(image).__name__}"
    )


def is_floating(pixels: Pixels) -> bool:
    """Whether the dtype is a floating one, bfloat16 included."""
    # ml_dtypes' types are no subtypes of np.floating; NumPy calls their kind "V".
    return pixels.dtype.kind == "f" or pixels.dtype.name == "bfloat16"


def working_dtype(pixels: Pixels) -> np.dtype[Any]:
    """The dtype to compute in: float64 for float64, float32 for everything else."""
    return np.dtype(np.float64 if pixels.dtype == np.float64 else np.float32)


def _check_planes(array: Pixels, what: str) -> None:
    if not is_floating(array) and array.dtype != np.uint8:
        raise TypeError(
            f"expected {what} of floats or of bytes (uint8) as an image, got {array.dtype}"
        )
    if array.ndim < 3:
        raise ValueError(
            f"expected {what} of shape (..., C, H, W) as an image, got shape {array.shape}"
        )


def _own(pixels: Pixels) -> Pixels:
    """A contiguous copy: what is given back shares no memory with what came in."""
    return np.array(pixels, order="C")


def _to_pillow(pixels: Pixels) -> Any:
    pil_image = require("PIL.Image", install="pip install pillow", purpose="transforming photos")
    return pil_image.fromarray(np.ascontiguousarray(pixels))
