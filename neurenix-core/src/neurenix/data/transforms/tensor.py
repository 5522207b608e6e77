"""From bytes to tensors, and their normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from neurenix.data.transforms.layout import as_picture, is_floating, working_dtype
from neurenix.data.transforms.transform import Transform
from neurenix.tensor import Tensor


@dataclass(frozen=True)
class ToTensor(Transform):
    r"""Turn an image into a float32 tensor with values from 0 to 1.

    .. math:: out_{c,h,w} = image_{h,w,c} / 255

    Floating arrays and tensors keep their layout and their values, in float32.

    Shape:
        ``(H, W[, C])`` of bytes -> ``(C, H, W)``; ``(..., C, H, W)`` -> ``(..., C, H, W)``.

    Raises:
        ValueError: A floating array looks like (H, W, C).
    """

    deterministic: ClassVar[bool | None] = True

    def __call__(self, image: Any) -> Tensor:
        """Convert one image."""
        picture = as_picture(image)
        pixels = picture.pixels
        if isinstance(image, Tensor) and is_floating(pixels):
            return image.float()
        if picture.channels_last:
            planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
            pixels = np.ascontiguousarray(planes)
        elif isinstance(image, np.ndarray) and _looks_channels_last(image):
            raise ValueError(
                f"expected a floating array as (C, H, W), got shape {image.shape}: bring the "
                "channels to the front (array.transpose(2, 0, 1)), or give bytes (uint8)"
            )
        if is_floating(pixels):
            return Tensor(np.array(pixels, dtype=np.float32))
        scaled = pixels.astype(np.float32) / np.float32(255)
        return Tensor(scaled, device=image.device) if isinstance(image, Tensor) else Tensor(scaled)


@dataclass(frozen=True)
class Normalize(Transform):
    r"""Subtract a mean and divide by a standard deviation, channel by channel.

    .. math:: out_c = (image_c - mean_c) / std_c

    Args:
        mean: One number a channel, or one for all.
        std: The same; none is 0.

    Shape:
        (..., C, H, W) of floats -> the same.

    Raises:
        ValueError: The image has another number of channels, or a ``std`` is 0.
        TypeError: The image holds bytes.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    deterministic: ClassVar[bool | None] = True

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self._set(mean=_numbers(mean), std=_numbers(std))
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"expected as many means as standard deviations, got {len(self.mean)} and "
                f"{len(self.std)}"
            )
        if not all(np.isfinite(self.mean)) or not all(value > 0 for value in self.std):
            raise ValueError(
                f"expected finite means and standard deviations above 0, got mean={self.mean}, "
                f"std={self.std}"
            )

    def __call__(self, image: Any) -> Any:
        """Normalise one image, or several of one size."""
        picture = as_picture(image)
        pixels = picture.pixels
        if not is_floating(pixels):
            raise TypeError("expected an image of floats, got one of bytes; put ToTensor() before")
        channels = pixels.shape[-3]
        if len(self.mean) not in (1, channels):
            raise ValueError(
                f"expected an image of {len(self.mean)} channels as (..., C, H, W), got shape "
                f"{pixels.shape}, which has {channels}"
            )
        # Rounded to float32 first, and divided, not multiplied by the reciprocal: bit for bit
        # what the published weights were trained and measured with.
        working = working_dtype(pixels)
        mean = np.array(self.mean, dtype=working).reshape(-1, 1, 1)
        std = np.array(self.std, dtype=working).reshape(-1, 1, 1)
        out = (pixels.astype(working, copy=False) - mean) / std
        return picture.restore(out.astype(pixels.dtype, copy=False))


def _numbers(values: float | Sequence[float]) -> tuple[float, ...]:
    if isinstance(values, int | float):
        return (float(values),)
    return tuple(float(value) for value in values)


def _looks_channels_last(array: np.ndarray[Any, Any]) -> bool:
    return array.ndim == 3 and array.shape[2] in (1, 3, 4) and array.shape[0] > 4
