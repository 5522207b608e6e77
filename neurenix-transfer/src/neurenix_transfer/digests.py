"""Digests of weights and data: whether they are the ones that a run began with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np

from neurenix import Tensor
from neurenix_transfer.cache.samples import know
from neurenix_transfer.sources import Array, FromLoader, InMemory, Inputs, Source

_SIZE = 16  # bytes; enough that two contents never share a digest by chance


class Digest:
    """A digest of values, taken in one after another."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=_SIZE)

    def add(self, value: Inputs) -> None:
        """Take in a tensor or an array, or a tuple, list or dict of them."""
        if isinstance(value, dict):
            for key in sorted(value):
                self._hash.update(f"{key}:".encode())
                self.add(value[key])
        elif isinstance(value, tuple | list):
            for each in value:
                self.add(each)
        else:
            array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
            self._hash.update(f"{array.dtype}{array.shape};".encode())
            if array.size:
                # Bytes, as the buffer protocol does not know every dtype, such as bfloat16.
                self._hash.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    def hex(self) -> str:
        """Return the digest of all that was taken in."""
        return self._hash.hexdigest()


def digest(*values: Inputs) -> str:
    """Return the digest of values."""
    whole = Digest()
    for value in values:
        whole.add(value)
    return whole.hex()


def digest_of_text(lines: Iterable[str]) -> str:
    """Return the digest of lines of text."""
    whole = hashlib.blake2b(digest_size=_SIZE)
    for line in lines:
        whole.update(f"{line}\n".encode())
    return whole.hexdigest()


def describe_data(source: Source, labels: Array) -> dict[str, Any]:
    """Return what tells one data set from another: number, labels and inputs of the samples.

    Samples that random transforms change are taken as the first epoch sees them. Of data that can
    only be iterated over, nothing is known that is the same each time but the number of samples.

    Args:
        source: The data.
        labels: All of their labels.
    """
    known: dict[str, Any] = {"samples": len(labels)}
    if isinstance(source, InMemory):
        known |= {"labels": digest(labels), "inputs": digest(source.data)}
    elif isinstance(source, FromLoader):
        batches = np.concatenate([[len(each), *each] for each in source.loader.batch_indices(0)])
        inputs = _content(source, len(labels)) or _inputs(source, len(labels))
        known |= {"labels": digest(labels), "inputs": inputs, "batches": digest(batches)}
    return known


def reads_the_same(source: Source, count: int = 16) -> bool:
    """Whether the first samples of a source are the same when they are read twice."""
    if not isinstance(source, FromLoader):
        return True

    return _inputs(source, count) == _inputs(source, count)


def _content(source: FromLoader, count: int) -> str | None:
    """Return the digest of what samples are made from, such as the files of photos.

    That spares decoding them; None where it cannot be known.
    """
    content = know(source).content
    if content is None:
        return None
    try:
        return digest_of_text(content(sample) for sample in range(count))
    except TypeError:  # samples that are neither numbers nor text
        return None


def _inputs(source: FromLoader, count: int) -> str:
    """Return the digest of the first samples, as the first epoch reads them."""
    inputs = Digest()
    for batch in islice(source.one_by_one(), count):
        inputs.add(batch.inputs)
    return inputs.hex()
