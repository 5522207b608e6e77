"""The header of a safetensors file: where its tensors lie.

A file is eight bytes with the header's length (little-endian), the header (a JSON object), and
the tensors' bytes. The header maps each tensor's name to its dtype, shape and place among those
bytes; ``__metadata__`` maps strings to strings.

Whether a file keeps to the format is for the safetensors library to say; here are only the
offsets of a file that it has passed, since its NumPy half copies tensors and lacks bfloat16.

Reference: https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from collections.abc import Iterable
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from neurenix import dtypes
from neurenix.io.errors import WeightsFileError

# The library's own limit; a header of 100 MB describes a million tensors.
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

_FIELDS = {"dtype", "shape", "data_offsets"}


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


def read_header(path: str | PathLike[str], data: memoryview) -> Header:
    """Return the header of a file that the safetensors library has validated.

    Args:
        path: The file's name, for the errors.
        data: The file's bytes.

    Raises:
        WeightsFileError: The file is valid for the library, but ambiguous or of a dtype that
            Neurenix has not.
    """

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # The library takes the last of equal names, and so a tensor could hide another.
        fields = dict(pairs)
        if len(fields) != len(pairs):
            ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
            raise WeightsFileError(path, f"invalid safetensors header: {twice!r} occurs twice")
        return fields

    start = 8 + struct.unpack("<Q", data[:8])[0]
    fields = json.loads(bytes(data[8:start]).decode(), object_pairs_hook=without_duplicates)
    metadata = fields.pop("__metadata__", None) or {}
    entries = {name: _entry(path, name, field, start) for name, field in fields.items()}
    ordered = sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end))
    return Header(dict(ordered), metadata)


def render_header(
    entries: Iterable[tuple[str, np.dtype[Any], tuple[int, ...]]], metadata: dict[str, str] | None
) -> bytes:
    """Return the first bytes of a file whose tensors follow in the order of ``entries``.

    Raises:
        ValueError: The header would be longer than readers accept.
    """
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
    if len(text) > MAX_HEADER_BYTES:
        raise ValueError(
            f"the names, shapes and metadata take {len(text)} bytes; a safetensors file holds at "
            f"most {MAX_HEADER_BYTES}, so keep large metadata in a file of its own"
        )
    return struct.pack("<Q", len(text)) + text


def _entry(path: str | PathLike[str], name: str, field: Any, start: int) -> Entry:
    # The library also lets other spellings pass, {"F32": null} for "F32" or an array for the
    # three fields, and further fields that mean nothing.
    if not isinstance(field, dict) or set(field) != _FIELDS or not isinstance(field["dtype"], str):
        raise WeightsFileError(
            path,
            f"invalid safetensors header: tensor {name!r} must have exactly the fields "
            f"{', '.join(sorted(_FIELDS))}, the dtype a string",
        )
    dtype = DTYPE_OF_NAME.get(field["dtype"])
    if dtype is None:
        raise WeightsFileError(
            path,
            f"tensor {name!r} has the dtype {field['dtype']}, which Neurenix does not have; "
            f"convert it to one of {', '.join(DTYPE_OF_NAME)}",
        )
    begin, end = field["data_offsets"]
    return Entry(dtype, tuple(field["shape"]), start + begin, start + end)
