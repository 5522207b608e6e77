"""The one reader of photos, the same for training and for prediction.

Whatever a file holds (sixteen bits, a palette, transparency, CMYK, a rotation in its EXIF data),
:func:`read_photo` gives what a viewer would show: an upright H x W x 3 array of RGB bytes. A file
that cannot be shown that way raises :class:`PhotoError`, which names it.
"""

from __future__ import annotations

import os
import re
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurenix.errors import NeurenixError, require

if TYPE_CHECKING:
    from PIL import Image

PHOTO_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
"""Extensions (lower case) that are read as photos."""

MAX_PHOTO_PIXELS = 178_956_970
"""Photos of more pixels are refused: their RGB bytes alone would take half a gigabyte. It is also
where Pillow's own guard against decompression bombs raises."""

# Only these decoders may see a file, whatever its name says: others that Pillow has start external
# programs (EPS) or are rarely exercised.
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")

_ORIENTATION_TAG = 0x0112
_BITS_PER_SAMPLE_TAG = 258
_PHOTOMETRIC_TAG = 262
_WHITE_IS_ZERO = 0

Pixels = npt.NDArray[np.uint8]


class PhotoError(NeurenixError, ValueError):
    """A photo that cannot be read.

    Args:
        path: The file.
        problem: What is wrong with it and, where something can be done, what.
    """

    def __init__(self, path: str | PathLike[str], problem: str) -> None:
        self.path = fspath(path)
        self.problem = problem
        super().__init__(f"{self.path}: {problem}")

    def __reduce__(self) -> tuple[type[PhotoError], tuple[str, str]]:
        return type(self), (self.path, self.problem)


class PixelFormatError(NeurenixError, ValueError):
    """Pixels whose values have no defined brightness, or no defined place for the channels."""


def is_photo(path: str | PathLike[str]) -> bool:
    """Whether the file's extension, in any case, is one of :data:`PHOTO_EXTENSIONS`."""
    return os.path.splitext(fspath(path))[1].lower() in PHOTO_EXTENSIONS


def read_photo(path: str | PathLike[str]) -> Pixels:
    """Read a photo as a viewer would show it.

    EXIF orientation is applied, transparency is laid over white, sixteen-bit values are scaled to
    eight bits (the high byte is kept, nothing is clipped), CMYK, palettes and grayscale become
    RGB. Of a file with several pictures, the first is read. The content decides how a file is
    decoded, not its extension.

    Args:
        path: A JPEG, PNG, BMP, WebP or TIFF file.

    Returns:
        A new, writable array of bytes.

    Shape:
        (H, W, 3).

    Raises:
        PhotoError: The file is absent, broken, truncated, of another format, too large, or holds
            values that have no defined brightness (floating point, 32-bit integers).
        MissingDependencyError: Pillow is not installed.
    """
    pil_image = require("PIL.Image", install="pip install pillow", purpose="reading photos")
    name = fspath(path)
    if not os.path.isfile(name):
        what = "is a folder, not a photo" if os.path.isdir(name) else "there is no such file"
        raise PhotoError(name, what)
    if os.path.getsize(name) == 0:
        raise PhotoError(name, "the file is empty (0 bytes)")
    try:
        with pil_image.open(name, formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PHOTO_PIXELS:
                raise PhotoError(name, _too_large(f"{width:,} x {height:,} pixels"))
            image.load()
            return _upright(rgb_pixels(image), _orientation(image))
    except PhotoError:
        raise
    except PixelFormatError as error:
        raise PhotoError(name, str(error)) from error
    except (pil_image.DecompressionBombError, pil_image.DecompressionBombWarning) as error:
        count = re.search(r"\d+", str(error))
        raise PhotoError(name, _too_large(f"{int(count[0]):,} pixels" if count else "")) from error
    except pil_image.UnidentifiedImageError as error:
        problem = "no JPEG, PNG, BMP, WebP or TIFF picture was recognised in it"
        raise PhotoError(name, problem) from error
    except PermissionError as error:
        raise PhotoError(name, "may not be read (permission denied)") from error
    except Exception as error:  # decoders raise almost any type on a broken file
        raise PhotoError(name, f"broken or truncated ({type(error).__name__}: {error})") from error


def rgb_pixels(image: Image.Image) -> Pixels:
    """Convert a loaded Pillow image of any mode to RGB bytes; see :func:`read_photo`.

    Args:
        image: The image. Its EXIF orientation is not looked at.

    Shape:
        (H, W, 3).

    Raises:
        PixelFormatError: The mode has no defined conversion.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.array(image)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return _from_sixteen_bits(image)  # Pillow's own conversion would clip at 255
    if image.mode in ("I", "F"):
        kind = "32-bit integer" if image.mode == "I" else "floating-point"
        raise PixelFormatError(
            f"{kind} values, of which nobody says which one is white; save it with 8 or 16 bits"
        )
    if image.has_transparency_data:
        return _over_white(np.asarray(image.convert("RGBA")))
    return np.array(image.convert("RGB"))


def _from_sixteen_bits(image: Image.Image) -> Pixels:
    """Scale sixteen-bit gray, keeping the high byte as Pillow does for sixteen-bit RGB."""
    values = np.asarray(image).astype(np.int64)
    transparent = image.info.get("transparency")
    # A PNG may declare one gray value to be transparent; over white it is white.
    holes = values == transparent if isinstance(transparent, int) else None
    tags: Any = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE_TAG, (16,))[0]
    if tags.get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO:
        values = (1 << bits) - 1 - values
    gray = (values >> (bits - 8)).astype(np.uint8)
    if holes is not None:
        gray[holes] = 255
    return np.repeat(gray[:, :, None], 3, axis=2)


def _over_white(rgba: Pixels) -> Pixels:
    color, alpha = rgba[..., :3].astype(np.uint16), rgba[..., 3:].astype(np.uint16)
    # The largest sum is 255 * 255 + 127, which uint16 holds; 127 rounds to the nearest.
    return ((color * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none or the EXIF data is broken.

    It is read after the pixels: Pillow turns TIFF files itself while it loads them, and a PNG may
    carry its EXIF data behind the pixels.
    """
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # broken metadata does not make the picture unreadable
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation: 5 to 8 are transposed, then each is a pair of mirrorings."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _too_large(size: str) -> str:
    return f"absurd size: {size}, where at most {MAX_PHOTO_PIXELS:,} pixels are read"
