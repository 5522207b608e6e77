"""Photos as the browser decodes them, beside `neurenix predict`'s reader."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms

from neurenix.data.photos import read_photo

from .conftest import RunModule, from_text, to_text

DECODE = """
const { decodePhoto } = await import("./decode.js");
const photo = await decodePhoto(new Blob([bytes(given.file)]));
// In two bands, the second one of fewer rows.
const first = Math.ceil(photo.height * 0.6);
const above = photo.rows(0, first).slice();
const below = photo.rows(first, photo.height - first);
const { width, height } = photo;
photo.close();
return { width, height, above: text(above), below: text(below) };
"""
REFUSAL = """
const { decodePhoto, PhotoError } = await import("./decode.js");
try {
  await decodePhoto(new Blob([bytes(given.file)]));
} catch (error) {
  return [error instanceof PhotoError, error.message];
}
"""


def picture(mode: str, size: tuple[int, int] = (37, 23)) -> Image.Image:
    """Smooth waves, different in each channel, so that a turn or a mixed-up channel shows."""
    x, y = np.meshgrid(np.linspace(0, 3, size[0]), np.linspace(0, 2, size[1]))
    bands = {"L": 1, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    waves = [128 + 120 * np.sin((c + 1.5) * x + (4 - c) * y + c) for c in range(bands)]
    pixels = np.stack(waves, axis=2).astype(np.uint8)
    return Image.fromarray(pixels[:, :, 0] if mode == "L" else pixels, mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def swapped_profile() -> bytes:
    """A colour profile that takes red for blue: whoever applies it changes every colour."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for place in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12):
        tag = bytes(profile[place : place + 4])
        profile[place : place + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(tag, tag)
    return bytes(profile)


def both(run_module: RunModule, tmp_path: Path, data: bytes) -> tuple[Any, Any]:
    """Return a file's pixels as the page reads it, and as `read_photo` does."""
    found = run_module(DECODE, file=to_text(data))
    rows = np.concatenate([from_text(found[part], np.uint8) for part in ("above", "below")])
    pixels = rows.reshape(found["height"], found["width"], 4)
    assert (pixels[..., 3] == 255).all()
    path = tmp_path / "photo"
    path.write_bytes(data)
    return pixels[..., :3], read_photo(path)


def difference(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b.astype(int)).max())


# Chromium and Pillow decode JPEG and WebP by the same libraries, so that even these are equal.
FILES: dict[str, Callable[[], bytes]] = {
    "png": lambda: encoded(picture("RGB"), "PNG"),
    "png-gray": lambda: encoded(picture("L"), "PNG"),
    "png-palette": lambda: encoded(picture("RGB").quantize(32), "PNG"),
    "png-opaque": lambda: encoded(picture("RGB").convert("RGBA"), "PNG"),
    "png-alpha": lambda: encoded(picture("RGBA"), "PNG"),
    "png-16-bit": lambda: encoded(Image.fromarray(sixteen_bits()), "PNG"),
    "png-profile": lambda: encoded(picture("RGB"), "PNG", icc_profile=swapped_profile()),
    "bmp": lambda: encoded(picture("RGB"), "BMP"),
    "webp": lambda: encoded(picture("RGB"), "WEBP", lossless=True),
    "webp-lossy": lambda: encoded(picture("RGB"), "WEBP", quality=80),
    "webp-profile": lambda: encoded(
        picture("RGB"), "WEBP", lossless=True, icc_profile=swapped_profile()
    ),
    "jpeg": lambda: encoded(picture("RGB"), "JPEG", quality=90),
    "jpeg-444": lambda: encoded(picture("RGB"), "JPEG", quality=90, subsampling=0),
    "jpeg-gray": lambda: encoded(picture("L"), "JPEG"),
    "jpeg-progressive": lambda: encoded(picture("RGB"), "JPEG", progressive=True),
    "jpeg-profile": lambda: encoded(picture("RGB"), "JPEG", icc_profile=swapped_profile()),
    "jpeg-cmyk": lambda: encoded(picture("CMYK"), "JPEG"),
}
ROUNDED = {"jpeg-cmyk", "png-alpha"}  # the browser may round otherwise, by one level


def sixteen_bits() -> npt.NDArray[np.uint16]:
    return (np.arange(37 * 23).reshape(23, 37) * 77 % 65536).astype(np.uint16)


@pytest.mark.parametrize("name", FILES)
def test_pixels_are_those_of_predict(run_module: RunModule, tmp_path: Path, name: str) -> None:
    browsers, ours = both(run_module, tmp_path, FILES[name]())
    assert difference(browsers, ours) <= (name in ROUNDED)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_cameras_orientation_is_applied(
    run_module: RunModule, tmp_path: Path, kind: str, orientation: int
) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(picture("RGB"), kind, exif=exif(orientation), **options)
    browsers, ours = both(run_module, tmp_path, data)
    assert difference(browsers, ours) == 0
    assert (ours.shape[0] > ours.shape[1]) == (orientation >= 5)


@pytest.mark.parametrize("cut", [0, 7, 13, 20, 39])
def test_damaged_orientation_is_none(run_module: RunModule, cut: int) -> None:
    code = """
    const { exifOrientation } = await import("./orientation.js");
    return exifOrientation(new DataView(bytes(given.exif).buffer));
    """
    whole = exif(6)
    whole[0x0110] = "camera"  # a tag before it
    data = whole.tobytes()
    assert run_module(code, exif=to_text(data)) == 6
    assert run_module(code, exif=to_text(data[:cut])) == 1


def test_a_browser_that_alters_pixels_is_found(run_module: RunModule) -> None:
    code = """
    const { altersPixels } = await import("./decode.js");
    const kind = OffscreenCanvasRenderingContext2D.prototype;
    const { getImageData } = kind;
    const before = altersPixels();
    kind.getImageData = function (...part) {
      const found = getImageData.apply(this, part);
      found.data[1234] ^= 1;
      return found;
    };
    const after = altersPixels();
    kind.getImageData = getImageData;
    return [before, after];
    """
    assert run_module(code) == [False, True]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "The file is empty."),
        (b"no photo", "The file is damaged, or no photo. Choose a JPEG, PNG or WebP photo."),
        (b"II*\0rest", "This browser cannot read TIFF files. Choose a JPEG, PNG or WebP photo."),
        (b"%PDF-1.7", "This browser cannot read PDF files. Choose a JPEG, PNG or WebP photo."),
    ],
)
def test_what_is_no_photo_is_explained(run_module: RunModule, data: bytes, message: str) -> None:
    assert run_module(REFUSAL, file=to_text(data)) == [True, message]
