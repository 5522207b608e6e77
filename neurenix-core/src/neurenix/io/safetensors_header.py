"""The header of a safetensors file: its layout, checked to the last byte.

A file is eight bytes with the header's length (little-endian), the header (a JSON object), and
the tensors' bytes. The header maps each tensor's name to its dtype, shape and place among those
bytes; ``__metadata__`` maps strings to strings. The tensors must fill the rest of the file
exactly: no overlap, no gap, nothing behind the last.

Reference: https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from neurenix import dtypes
from neurenix.io.errors import WeightsFileError

# The limit of the reference implementation; a header of 100 MB describes a million tensors.
MAX_HEADER_BYTES = 100_000_000

DTYPE_OF_NAME = {
    "BOOL": dtypes.bool_,
    "U8": dtypes.uint8,
    "I8": dtypes.int8,
    "I16": dtypes.int16,
    "I32": dtypes.int32,
    "I64": dtypes.int64,
    "F16": dtypes.float16,
    "BF16": dtypes.bfloat16,
    "F32": dtypes.float32,
    "F64": dtypes.float64,
}
NAME_OF_DTYPE = {dtype: name for name, dtype in DTYPE_OF_NAME.items()}


class Entry(NamedTuple):
    """One tensor of a file: what it is, and where its bytes begin and end in the file."""

    dtype: dtypes.DType
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """The tensors of a file in the order of their bytes, and the file's metadata."""

    entries: dict[str, Entry]
    metadata: dict[str, str]


def looks_like_safetensors(head: bytes) -> bool:
    """Whether a file that begins with these bytes (nine suffice) may be a safetensors file."""
    if len(head) < 9:
        return False
    return 2 <= struct.unpack("<Q", head[:8])[0] <= MAX_HEADER_BYTES and head[8:9] == b"{"


def parse_header(path: str | PathLike[str], data: memoryview) -> Header:
    """Check a whole safetensors file's layout and return it.

    Args:
        path: The file's name, for the errors.
        data: The file's bytes.

    Raises:
        WeightsFileError: Whatever is wrong, named.
    """
    text, start = _header_text(path, data)
    fields = _header_fields(path, text)
    metadata = _metadata(path, fields.pop("__metadata__", {}))
    entries = {name: _entry(path, name, field, start) for name, field in fields.items()}
    ordered = sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end))
    _check_places(path, ordered, start, len(data))
    return Header(dict(ordered), metadata)


def render_header(
    entries: Iterable[tuple[str, np.dtype[Any], tuple[int, ...]]], metadata: dict[str, str] | None
) -> bytes:
    """Return the first bytes of a file whose tensors follow in the order of ``entries``."""
    fields: dict[str, Any] = {}
    if metadata is not None:
        fields["__metadata__"] = metadata
    place = 0
    for name, dtype, shape in entries:
        end = place + dtype.itemsize * math.prod(shape)
        fields[name] = {
            "dtype": NAME_OF_DTYPE[dtype],
            "shape": list(shape),
            "data_offsets": [place, end],
        }
        place = end
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # so that the first tensor is aligned to its element
    return struct.pack("<Q", len(text)) + text


def _header_text(path: str | PathLike[str], data: memoryview) -> tuple[bytes, int]:
    if len(data) < 8:
        raise WeightsFileError(
            path,
            f"not a safetensors file: it has {len(data)} bytes, fewer than the 8 it opens with",
        )
    (length,) = struct.unpack("<Q", data[:8])
    if length > MAX_HEADER_BYTES:
        raise WeightsFileError(
            path,
            f"not a safetensors file: its first 8 bytes give a header of {length} bytes; at most "
            f"{MAX_HEADER_BYTES} are allowed",
        )
    if 8 + length > len(data):
        raise WeightsFileError(
            path,
            f"truncated: the header should end at byte {8 + length}, but the file has only "
            f"{len(data)} bytes; copy or download it again",
        )
    return bytes(data[8 : 8 + length]), 8 + length


def _header_fields(path: str | PathLike[str], text: bytes) -> dict[str, Any]:
    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in fields if names.count(name) > 1)
            raise WeightsFileError(path, f"invalid safetensors header: {twice!r} occurs twice")
        return fields

    if not text.startswith(b"{"):
        raise WeightsFileError(path, "not a safetensors file: its header is not a JSON object")
    try:
        fields = json.loads(text.decode(), object_pairs_hook=without_duplicates)
    except WeightsFileError:
        raise
    except UnicodeDecodeError as error:
        raise WeightsFileError(
            path, f"invalid safetensors header: not UTF-8 at byte {8 + error.start}"
        ) from None
    except (ValueError, RecursionError) as error:  # ValueError: bad JSON, or absurd integers
        raise WeightsFileError(
            path, f"invalid safetensors header: not valid JSON ({error})"
        ) from None
    assert isinstance(fields, dict)  # it begins with a brace
    return fields


def _metadata(path: str | PathLike[str], field: Any) -> dict[str, str]:
    if not isinstance(field, dict) or not all(isinstance(v, str) for v in field.values()):
        raise WeightsFileError(
            path, "invalid safetensors header: __metadata__ must map strings to strings"
        )
    return field


def _entry(path: str | PathLike[str], name: str, field: Any, start: int) -> Entry:
    def invalid(problem: str) -> WeightsFileError:
        return WeightsFileError(path, f"invalid safetensors header: tensor {name!r} {problem}")

    expected = {"dtype", "shape", "data_offsets"}
    if not isinstance(field, dict) or set(field) != expected:
        raise invalid(f"must have exactly the fields {', '.join(sorted(expected))}")
    dtype, shape, offsets = field["dtype"], field["shape"], field["data_offsets"]
    if not isinstance(dtype, str):
        raise invalid(f"has the dtype {dtype!r}, which is not a name")
    if dtype not in DTYPE_OF_NAME:
        raise WeightsFileError(
            path,
            f"tensor {name!r} has the dtype {dtype}, which Neurenix does not have; convert it to "
            f"one of {', '.join(DTYPE_OF_NAME)}",
        )
    if not _are_sizes(shape):
        raise invalid(f"has the shape {shape!r}; expected a list of non-negative integers")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise invalid(f"has the data_offsets {offsets!r}; expected [begin, end], begin <= end")
    begin, end = offsets
    entry = Entry(DTYPE_OF_NAME[dtype], tuple(shape), start + begin, start + end)
    expected_bytes = entry.dtype.itemsize * math.prod(entry.shape)
    if end - begin != expected_bytes:
        raise invalid(
            f"of dtype {dtype} and shape {shape} needs {expected_bytes} bytes, but its "
            f"data_offsets {offsets} hold {end - begin}"
        )
    return entry


def _are_sizes(value: Any) -> bool:
    # Booleans are ints in Python, and no sizes.
    return isinstance(value, list) and all(type(size) is int and size >= 0 for size in value)


def _check_places(
    path: str | PathLike[str], ordered: list[tuple[str, Entry]], start: int, length: int
) -> None:
    """Check that the tensors fill the rest of the file exactly."""
    place, before = start, ""
    for name, entry in ordered:
        if entry.begin < place:
            raise WeightsFileError(
                path, f"invalid safetensors header: tensors {before!r} and {name!r} overlap"
            )
        if entry.begin > place:
            raise WeightsFileError(
                path,
                f"invalid safetensors header: {entry.begin - place} bytes before tensor {name!r} "
                "belong to no tensor",
            )
        place, before = entry.end, name
    if place > length:
        raise WeightsFileError(
            path,
            f"truncated: the tensors should end at byte {place}, but the file has only {length} "
            "bytes; copy or download it again",
        )
    if place < length:
        raise WeightsFileError(
            path, f"invalid safetensors file: {length - place} bytes follow the last tensor"
        )
