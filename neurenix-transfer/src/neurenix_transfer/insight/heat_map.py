"""A heat map over a photo: numbers, and pictures of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from neurenix.errors import require
from neurenix.io import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pixels: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]

# From cold to hot, dark to light: read in grayscale, and by those who cannot tell red from green.
_COLORS = np.array([(150, 20, 120), (225, 45, 75), (255, 130, 25), (255, 240, 110)], np.float32)
_OPACITY = 0.75  # of the hottest place; cold ones leave the photo as it is


@dataclass(frozen=True)
class HeatMap:
    """Where a model looked for a class.

    Attributes:
        values: From 0, of no importance, to 1, at the size of the photo.
        coarse: The same as the layer gave it, before it was enlarged.
        index: The number of the class that it explains.
        label: The name of that class; its number where it has no name.
        score: What the model gave that class: its logit.
        layer: The layer whose activations were weighed.
        photo: What the model saw.

    Shape:
        values (H, W), coarse (h, w), photo (H, W, 3).
    """

    values: Floats = field(repr=False)
    coarse: Floats = field(repr=False)
    index: int
    label: str
    score: float
    layer: str
    photo: Pixels = field(repr=False)

    def overlay(self, opacity: float = _OPACITY) -> Pixels:
        """Lay the map over the photo: the hotter a place, the more it is coloured.

        Args:
            opacity: How much of the photo the hottest place hides, from 0 to 1.

        Shape:
            (H, W, 3).
        """
        if not 0.0 <= opacity <= 1.0:
            raise ValueError(f"opacity lies between 0 and 1, not {opacity}")
        share = (opacity * self.values)[..., None]
        mixed = (1.0 - share) * self.photo.astype(np.float32) + share * _colored(self.values)
        return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)

    def save(self, path: str | Path, opacity: float = _OPACITY) -> None:
        """Write the overlay as a picture; the extension says the format.

        Raises:
            MissingDependencyError: Pillow is not installed.
        """
        pil_image = require("PIL.Image", install="pip install pillow", purpose="writing pictures")
        file = Path(path)
        kind = pil_image.registered_extensions().get(file.suffix.lower())
        if kind is None:
            raise ValueError(f"{file}: no format of pictures has the extension {file.suffix!r}")
        file.parent.mkdir(parents=True, exist_ok=True)
        picture = pil_image.fromarray(self.overlay(opacity))
        atomic_write(file, lambda opened: picture.save(opened, format=kind))

    def plot(self, save: str | Path | None = None) -> Figure:
        """Draw the photo and the overlay side by side.

        Args:
            save: A file to write the figure to; its extension says the format.

        Raises:
            MissingDependencyError: Matplotlib is not installed.
        """
        figures = require(
            "matplotlib.figure", install="pip install matplotlib", purpose="drawing a heat map"
        )
        figure: Figure = figures.Figure(figsize=(7.2, 3.9), layout="constrained")
        for axes, pixels, title in zip(
            figure.subplots(1, 2),
            (self.photo, self.overlay()),
            ("what the model saw", f"where it looked for {self.label}"),
            strict=True,
        ):
            axes.imshow(pixels)
            axes.set_title(title, size=11, parse_math=False)
            axes.set_axis_off()
        if save is not None:
            file = Path(save)
            file.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(file)
        return figure


def enlarged(values: Floats, size: Sequence[int]) -> Floats:
    """Bring a map to a size by linear interpolation between the centres of its cells.

    Shape:
        Input: (h, w). Output: ``size``.
    """
    rows, columns = (_interpolation(old, new) for old, new in zip(values.shape, size, strict=True))
    result: Floats = (rows @ values @ columns.T).astype(np.float32)
    return result


def _interpolation(old: int, new: int) -> npt.NDArray[Any]:
    """Return the matrix (new, old) that interpolates along one axis."""
    place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    before = np.floor(place).astype(int)
    share = place - before
    matrix = np.zeros((new, old))
    matrix[np.arange(new), before] = 1 - share
    matrix[np.arange(new), np.minimum(before + 1, old - 1)] += share
    return matrix


def _colored(values: Floats) -> npt.NDArray[np.float32]:
    steps = np.linspace(0.0, 1.0, len(_COLORS))
    channels = [np.interp(values, steps, _COLORS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)
