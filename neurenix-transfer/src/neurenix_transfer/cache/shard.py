"""Files of features: written once, under their final name only when complete, and checked.

A shard is a magic number, the length and the checksum of a header, the header in JSON, and the
values of each sample one after the other. The header holds, for each, where its tensors lie, of
which shape and dtype they are, and a checksum. A shard is never changed; readers map it into
memory and need no lock.
"""

from __future__ import annotations

import json
import os
import secrets
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from neurenix.dtypes import as_dtype
from neurenix.errors import NeurenixError
from neurenix.io import atomic_file
from neurenix_transfer.cache.frozen import Features
from neurenix_transfer.sources import Array

SUFFIX = ".features"
_MAGIC = b"NXFEAT01"
_HEAD = struct.Struct("<8sQI")
_ALIGNMENT = 64


class ShardError(NeurenixError, ValueError):
    """A file that is no complete, undamaged shard."""


@dataclass(frozen=True)
class Stored:
    """Features, and the seconds that computing them took.

    Attributes:
        features: The features.
        seconds: What the sample had cost: reading it, and the frozen part.
    """

    features: Features
    seconds: float


def write_shard(folder: Path, entries: Sequence[tuple[str, Stored]], about: Any) -> Path:
    """Write a shard of a name of its own, and return its path.

    Args:
        folder: An existing folder.
        entries: Keys of samples, and what is stored of each.
        about: What the features are of, in plain data.

    Raises:
        OSError: It cannot be written; nothing is left of it.
    """
    described: list[dict[str, Any]] = []
    values: list[Array] = []
    offset = 0
    for key, stored in entries:
        parts = []
        crc = 0
        for part in stored.features.parts:
            flat = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
            parts.append([offset, list(part.shape), str(part.dtype)])
            crc = zlib.crc32(flat.data, crc)
            values.append(flat)
            offset += _padded(flat.nbytes)
        described.append(
            {
                "key": key,
                "parts": parts,
                "crc": crc,
                "inputs": stored.features.inputs,
                "graph": stored.features.graph,
                "seconds": stored.seconds,
            }
        )
    header = json.dumps({"about": about, "bytes": offset, "entries": described}).encode()
    path = folder / f"{secrets.token_hex(12)}{SUFFIX}"
    with atomic_file(path) as file:
        file.write(_HEAD.pack(_MAGIC, len(header), zlib.crc32(header)))
        file.write(header)
        file.write(bytes(_padded(file.tell()) - file.tell()))
        for flat in values:
            file.write(flat.data)
            file.write(bytes(_padded(flat.nbytes) - flat.nbytes))
    return path


class Shard:
    """A shard, mapped into memory.

    Args:
        path: The file.

    Attributes:
        path: The same.
        about: What the features are of.
        keys: The keys of the samples, with their places for `read`.

    Raises:
        ShardError: It is damaged.
        OSError: It cannot be read, or is gone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open(path, "rb") as file:
            header, start = read_header(file, path)
            if os.fstat(file.fileno()).st_size != start + header["bytes"]:
                raise ShardError(f"{path} is not complete")
        self.about = header["about"]
        self._entries: list[dict[str, Any]] = header["entries"]
        self.keys: Mapping[int, str] = {n: entry["key"] for n, entry in enumerate(self._entries)}
        self._checked: set[int] = set()
        size = header["bytes"]
        self._values: Array = (
            np.memmap(path, np.uint8, "r", start, (size,)) if size else np.empty(0, np.uint8)
        )

    def graph(self, place: int) -> str:
        """Return the digest of the graph that gave an entry."""
        graph: str = self._entries[place]["graph"]
        return graph

    def read(self, place: int) -> Stored:
        """Return an entry; its values are a view of the file.

        Raises:
            ShardError: Its checksum is wrong.
        """
        entry = self._entries[place]
        parts = []
        crc = 0
        for offset, shape, name in entry["parts"]:
            dtype = as_dtype(name)
            nbytes = int(np.prod(shape)) * dtype.itemsize
            flat = self._values[offset : offset + nbytes]
            if place not in self._checked:
                crc = zlib.crc32(np.asarray(flat).data, crc)
            parts.append(np.asarray(flat).view(dtype).reshape(shape))
        if place not in self._checked:
            if crc != entry["crc"]:
                raise ShardError(f"{self.path} is damaged: the checksum of a sample is wrong")
            self._checked.add(place)
        inputs = tuple((tuple(shape), dtype) for shape, dtype in entry["inputs"])
        return Stored(Features(tuple(parts), inputs, entry["graph"]), float(entry["seconds"]))


def read_header(file: BinaryIO, path: Path) -> tuple[dict[str, Any], int]:
    """Return a shard's header, and where its values start.

    Raises:
        ShardError: It is no shard, or damaged.
    """
    head = file.read(_HEAD.size)
    if len(head) != _HEAD.size:
        raise ShardError(f"{path} is not complete")
    magic, length, crc = _HEAD.unpack(head)
    if magic != _MAGIC:
        raise ShardError(f"{path} is no file of features of this version")
    text = file.read(min(length, os.fstat(file.fileno()).st_size))
    if len(text) != length or zlib.crc32(text) != crc:
        raise ShardError(f"{path} is damaged: the checksum of its header is wrong")
    header: dict[str, Any] = json.loads(text)
    return header, _padded(_HEAD.size + length)


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
