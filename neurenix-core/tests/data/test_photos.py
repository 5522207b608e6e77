"""The reader of photos: every kind of file comes out as a viewer would show it, or by its name."""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from neurenix.data.photos import MAX_PHOTO_PIXELS, PhotoError, is_photo, read_photo, rgb_pixels
from neurenix.errors import MissingDependencyError

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_png(
    path: Path, size: tuple[int, int], depth: int, kind: int, row: bytes, *chunks: bytes
) -> Path:
    """A PNG of one filterless row, which Pillow itself would not write in all of these depths."""
    header = struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + b"".join(chunks)
        + _chunk(b"IDAT", zlib.compress(b"\0" + row))
        + _chunk(b"IEND", b"")
    )
    return path


def write_tiff(path: Path, width: int, bits: int, photometric: int, row: bytes) -> Path:
    """An uncompressed little-endian TIFF of one row of gray."""
    short, long = 3, 4
    tags = [
        (256, short, width),
        (257, short, 1),
        (258, short, bits),
        (259, short, 1),
        (262, short, photometric),
        (273, long, 8),
        (277, short, 1),
        (278, short, 1),
        (279, long, len(row)),
    ]
    row += b"\0" * (len(row) % 2)
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(row)) + row + directory)
    return path


def gray(*values: int) -> list[list[list[int]]]:
    return [[[value] * 3 for value in values]]


def noise(height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("extension", ["png", "bmp", "tif", "tiff", "PNG"])
def test_lossless_rgb_is_exact(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"photo.{extension}"
    Image.fromarray(noise()).save(path)
    pixels = read_photo(path)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, noise())


def test_lossless_webp_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "photo.webp"
    Image.fromarray(noise()).save(path, lossless=True)
    np.testing.assert_array_equal(read_photo(str(path)), noise())


def test_one_pixel(tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    Image.new("RGB", (1, 1), (7, 8, 9)).save(path)
    assert read_photo(path).tolist() == [[[7, 8, 9]]]


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_sixteen_bit_gray_is_scaled_and_not_clipped(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"photo.{extension}"
    values = np.array([[0, 255, 257, 0x8000, 0xFF00, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(path)
    assert read_photo(path).tolist() == gray(0, 0, 1, 0x80, 255, 255)


def test_sixteen_bit_colors(tmp_path: Path) -> None:
    row = np.array([0, 257, 65535, 0x1234, 0xABCD, 0xFF00], dtype=">u2").tobytes()
    path = write_png(tmp_path / "rgb.png", (2, 1), 16, 2, row)
    assert read_photo(path).tolist() == [[[0, 1, 255], [0x12, 0xAB, 0xFF]]]


def test_sixteen_bit_alpha(tmp_path: Path) -> None:
    row = np.array([0, 65535, 0, 0], dtype=">u2").tobytes()
    path = write_png(tmp_path / "la.png", (2, 1), 16, 4, row)
    assert read_photo(path).tolist() == gray(0, 255)


def test_twelve_bit_tiff_reaches_white(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "x.tif", 2, 12, 1, bytes([0xFF, 0xF8, 0x00]))
    assert read_photo(path).tolist() == gray(255, 0x80)


@pytest.mark.parametrize(
    ("bits", "row"), [(8, bytes([0, 255])), (16, np.array([0, 65535], "<u2").tobytes())]
)
def test_tiff_whose_zero_is_white(tmp_path: Path, bits: int, row: bytes) -> None:
    assert read_photo(write_tiff(tmp_path / "x.tif", 2, bits, 0, row)).tolist() == gray(255, 0)


@pytest.mark.parametrize(
    ("depth", "row", "expected"),
    [
        (1, bytes([0b01000000]), gray(0, 255)),
        (2, bytes([0b01100000]), gray(85, 170)),
        (4, bytes([0x1F]), gray(17, 255)),
        (8, bytes([3, 200]), gray(3, 200)),
    ],
)
def test_gray_of_few_bits(tmp_path: Path, depth: int, row: bytes, expected: object) -> None:
    assert read_photo(write_png(tmp_path / "x.png", (2, 1), depth, 0, row)).tolist() == expected


def test_black_and_white_bmp(tmp_path: Path) -> None:
    path = tmp_path / "x.bmp"
    Image.fromarray(np.array([[True, False]])).save(path)
    assert read_photo(path).tolist() == gray(255, 0)


def test_palette(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([1, 0])
    path = tmp_path / "x.png"
    image.save(path)
    assert read_photo(path).tolist() == [[[40, 50, 60], [10, 20, 30]]]


def test_palette_with_transparency_lies_over_white(tmp_path: Path) -> None:
    palette = _chunk(b"PLTE", bytes([10, 20, 30, 40, 50, 60, 0, 0, 0]))
    alpha = _chunk(b"tRNS", bytes([0, 255, 128]))
    path = write_png(tmp_path / "x.png", (3, 1), 8, 3, bytes([0, 1, 2]), palette, alpha)
    # 0 * 128/255 + 255 * 127/255 = 127
    assert read_photo(path).tolist() == [[[255, 255, 255], [40, 50, 60], [127, 127, 127]]]


@pytest.mark.parametrize(
    ("depth", "kind", "row", "key"),
    [
        (8, 0, bytes([7, 9]), struct.pack(">H", 7)),
        (8, 2, bytes([1, 2, 3, 9, 9, 9]), struct.pack(">HHH", 1, 2, 3)),
        (16, 0, struct.pack(">HH", 1000, 9 * 256), struct.pack(">H", 1000)),
    ],
)
def test_transparent_color_lies_over_white(
    tmp_path: Path, depth: int, kind: int, row: bytes, key: bytes
) -> None:
    path = write_png(tmp_path / "x.png", (2, 1), depth, kind, row, _chunk(b"tRNS", key))
    assert read_photo(path).tolist() == gray(255, 9)


@pytest.mark.parametrize("extension", ["png", "webp", "tif"])
def test_alpha_over_white_is_rounded(tmp_path: Path, extension: str) -> None:
    rgba = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 3]]], dtype=np.uint8)
    path = tmp_path / f"x.{extension}"
    Image.fromarray(rgba).save(path, **({"lossless": True} if extension == "webp" else {}))
    blend = [254, 253, 253]  # 254.35, 253.18, 252.59
    assert read_photo(path).tolist() == [[[200, 100, 50], [255, 255, 255], blend]]


def test_gray_with_alpha(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(np.array([[[50, 255], [50, 0]]], dtype=np.uint8), "LA").save(path)
    assert read_photo(path).tolist() == gray(50, 255)


def test_cmyk(tmp_path: Path) -> None:
    cyan, jpeg = tmp_path / "x.tif", tmp_path / "x.jpg"
    Image.new("CMYK", (2, 2), (255, 0, 0, 0)).save(cyan)
    assert read_photo(cyan)[0, 0].tolist() == [0, 255, 255]
    Image.new("CMYK", (16, 16), (0, 255, 0, 0)).save(jpeg, quality=95)
    assert np.abs(read_photo(jpeg).astype(int) - [255, 0, 255]).max() <= 2


def test_jpeg_is_what_pillow_decodes(tmp_path: Path) -> None:
    path = tmp_path / "x.jpeg"
    Image.fromarray(noise()).save(path, quality=90)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_photo(path), np.asarray(image))


UPRIGHT = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT, 1),  # to be turned clockwise: stored turned counter-clockwise
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
}


@pytest.mark.parametrize("orientation", sorted(STORED))
@pytest.mark.parametrize("extension", ["png", "tif", "webp"])
def test_exif_orientation(tmp_path: Path, orientation: int, extension: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{extension}"
    options = {"lossless": True} if extension == "webp" else {}
    stored = np.ascontiguousarray(STORED[orientation])
    Image.fromarray(stored).convert("RGB").save(path, exif=exif, **options)
    pixels = read_photo(path)
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, np.repeat(UPRIGHT[:, :, None], 3, axis=2))


def test_exif_orientation_of_a_jpeg(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "x.jpg"
    image = Image.new("RGB", (32, 16), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 16, 16))  # the left half is what ends up on top
    image.save(path, exif=exif, quality=95)
    pixels = read_photo(path)
    assert pixels.shape == (32, 16, 3)
    assert pixels[:16].min() > 250
    assert pixels[16:].max() < 5


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow's, which names no file
def test_broken_exif_does_not_hide_the_photo(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    Image.new("RGB", (8, 8), (9, 9, 9)).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert read_photo(path).tolist() == [gray(*[9] * 8)[0]] * 8


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_files_are_named(tmp_path: Path, kind: str, part: float) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise()).save(buffer, kind)
    path = tmp_path / "truncated.jpg"
    path.write_bytes(buffer.getvalue()[: int(len(buffer.getvalue()) * part)])
    with pytest.raises(PhotoError, match=r"truncated\.jpg: (broken|no JPEG)"):
        read_photo(path)


def test_damaged_bytes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "damaged.png"
    Image.fromarray(noise()).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(PhotoError, match=r"damaged\.png: broken"):
        read_photo(path)


@pytest.mark.parametrize("size", [(100_000, 100_000), (20_000, 20_000), (1, MAX_PHOTO_PIXELS + 1)])
def test_absurd_sizes_are_refused_before_decoding(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_png(tmp_path / "huge.png", size, 8, 2, b"\0" * 9)
    with pytest.raises(PhotoError, match=r"huge\.png: absurd size: [\d,]+ pixels"):
        read_photo(path)


def test_absurd_sizes_are_refused_where_pillow_has_no_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    path = write_png(tmp_path / "huge.png", (50_000, 40_000), 8, 2, b"\0" * 9)
    with pytest.raises(PhotoError, match=r"50,000 x 40,000 pixels"):
        read_photo(path)


def test_values_without_a_white_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "float.tif"
    Image.fromarray(np.ones((2, 2), dtype=np.float32)).save(path)
    with pytest.raises(PhotoError, match=r"float\.tif: floating-point values.*8 or 16 bits"):
        read_photo(path)
    Image.fromarray(np.ones((2, 2), dtype=np.int32)).save(path)
    with pytest.raises(PhotoError, match=r"32-bit integer values"):
        read_photo(path)


def test_other_content_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    for content, message in [
        (b"", r"empty \(0 bytes\)"),
        (b"<html>not found</html>", "no JPEG, PNG, BMP, WebP or TIFF"),
    ]:
        path.write_bytes(content)
        with pytest.raises(PhotoError, match=message):
            read_photo(path)
    # A format that is not on the list is not decoded, whatever the file is called.
    Image.new("P", (4, 4)).save(path, format="GIF")
    with pytest.raises(PhotoError, match="no JPEG, PNG, BMP, WebP or TIFF"):
        read_photo(path)
    with pytest.raises(PhotoError, match="no such file"):
        read_photo(tmp_path / "absent.jpg")
    with pytest.raises(PhotoError, match="is a folder"):
        read_photo(tmp_path)


def test_content_decides_and_not_the_extension(tmp_path: Path) -> None:
    path = tmp_path / "png.jpg"
    Image.fromarray(noise()).save(path, format="PNG")
    np.testing.assert_array_equal(read_photo(path), noise())


def test_the_first_of_several_pictures_is_read(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (2, 2), (1, 2, 3)), Image.new("RGB", (2, 2), (9, 9, 9))
    for extension in ("tif", "png"):
        path = tmp_path / f"pages.{extension}"
        first.save(path, save_all=True, append_images=[second])
        assert read_photo(path)[0, 0].tolist() == [1, 2, 3]


def test_the_error_says_which_file_and_survives_pickling(tmp_path: Path) -> None:
    error = PhotoError(tmp_path / "a.jpg", "broken")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.path, copy.problem, str(copy)) == (error.path, "broken", str(error))
    assert isinstance(error, ValueError)


def test_extensions() -> None:
    for name in ("a.jpg", "b.JPEG", "c.Png", "d.bmp", "e.webp", "f.tif", "g.TIFF"):
        assert is_photo(name)
    for name in ("a.gif", "b.jpg.txt", "jpg", ".jpg", "c.heic"):
        assert not is_photo(name)


def test_rgb_pixels_does_not_share_memory_with_the_image() -> None:
    image = Image.new("RGB", (2, 2))
    rgb_pixels(image)[...] = 255
    assert image.getpixel((0, 0)) == (0, 0, 0)


def test_without_pillow_the_install_line_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    def absent(name: str, package: str | None = None) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingDependencyError, match="pip install pillow"):
        read_photo(tmp_path / "x.jpg")
