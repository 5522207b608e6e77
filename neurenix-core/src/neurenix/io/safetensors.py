"""Reading and writing safetensors files, bfloat16 included.

The safetensors library says whether a file keeps to the format. The tensors are then mapped
into memory here: nothing is copied, pages are read when they are touched, and processes that
read the same file share them. The mapping is private, so that writing to a tensor that was read
never reaches the file.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from neurenix.dtypes import bool_
from neurenix.io.adopt import adopt
from neurenix.io.atomic import atomic_file
from neurenix.io.errors import WeightsFileError
from neurenix.io.safetensors_header import (
    NAME_OF_DTYPE,
    Entry,
    Header,
    read_header,
    render_header,
)
from neurenix.tensor import Tensor


def load_safetensors(path: str | PathLike[str]) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file, without copying them.

    The file must not be changed in place while its tensors live (``save_safetensors`` replaces
    files and never does so).

    Args:
        path: The file.

    Returns:
        The tensors by name, on the CPU, in the order of the file.

    Raises:
        WeightsFileError: The file is truncated or invalid, or has a dtype that Neurenix has not.
        OSError: The file cannot be opened.
    """
    data, header = _open(path)
    return {name: adopt(_array(path, name, entry, data)) for name, entry in header.entries.items()}


def safetensors_metadata(path: str | PathLike[str]) -> dict[str, str]:
    """Read the metadata of a safetensors file: strings by name, empty where it has none.

    Raises:
        WeightsFileError: The file is truncated or invalid.
        OSError: The file cannot be opened.
    """
    return _open(path)[1].metadata


def save_safetensors(
    path: str | PathLike[str],
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors to a safetensors file, atomically.

    A process killed in the middle leaves the old file, or none, never half of one.

    Args:
        path: The file to write. Its folder must exist.
        tensors: The tensors by name; on any device, of any strides.
        metadata: Strings by name, kept in the file's header.

    Raises:
        TypeError: A value is no tensor, or metadata does not map strings to strings.
        ValueError: A tensor is named ``__metadata__``, or the header would be too long.
    """
    # Written here and not by the library's serialize_file, which puts the metadata in a random
    # order, so that equal content gives unequal files; which, in 0.8, leaves the file readable
    # by its owner only, whatever the umask; and which, before 0.8, wants a copy of every tensor.
    _check_metadata(metadata)
    for name, value in tensors.items():
        _check_item(name, value)
    # Wide elements first, so that every tensor is aligned to its element.
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    head = render_header(
        ((name, tensors[name].dtype, tuple(tensors[name].shape)) for name in order),
        None if metadata is None else dict(sorted(metadata.items())),
    )
    with atomic_file(path) as file:
        file.write(head)
        for name in order:
            file.write(_bytes(tensors[name].detach().numpy()))


def _open(path: str | PathLike[str]) -> tuple[memoryview, Header]:
    # Opened here first: the library says of any file that it cannot open that there is none.
    with open(path, "rb") as file:
        _validate(path)
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    return data, read_header(path, data)


def _validate(path: str | PathLike[str]) -> None:
    """Let the library check the whole layout: header, shapes, overlaps, gaps, and the end."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):
            pass
    except SafetensorError as error:
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise WeightsFileError(
            path,
            f"it is no valid safetensors file: {reason}; it may be truncated or damaged, so copy "
            "or download it again, or save it anew",
        ) from error


def _array(
    path: str | PathLike[str], name: str, entry: Entry, data: memoryview
) -> np.ndarray[Any, Any]:
    count = (entry.end - entry.begin) // entry.dtype.itemsize
    raw = np.frombuffer(data[entry.begin : entry.end], np.uint8)
    if entry.begin % entry.dtype.alignment != 0:
        raw = raw.copy()  # other writers may leave a tensor unaligned; kernels need it aligned
    if entry.dtype == bool_ and count and raw.max() > 1:
        raise WeightsFileError(path, f"tensor {name!r} is BOOL, but has bytes other than 0 and 1")
    array = raw.view(entry.dtype)
    if sys.byteorder == "big":
        array = array.byteswap()
    try:
        return array.reshape(entry.shape)
    except ValueError as error:  # more axes than NumPy has, or absurd sizes beside a zero
        raise WeightsFileError(
            path, f"tensor {name!r} has the shape {list(entry.shape)}, which cannot be: {error}"
        ) from None


def _bytes(array: np.ndarray[Any, Any]) -> memoryview:
    if sys.byteorder == "big":
        array = array.byteswap()
    # Through uint8, as the buffer protocol knows no bfloat16.
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _check_item(name: object, value: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"tensors are named by strings, got {name!r}")
    if name == "__metadata__":
        raise ValueError("the name '__metadata__' is reserved by the format; choose another")
    if not isinstance(value, Tensor):
        raise TypeError(
            f"save_safetensors writes tensors, but {name!r} is a {type(value).__name__}; "
            "make it a Tensor, or put it into the metadata as a string"
        )
    if value.dtype not in NAME_OF_DTYPE:
        raise TypeError(f"{name!r} has the dtype {value.dtype}, which the format does not have")


def _check_metadata(metadata: Mapping[Any, Any] | None) -> None:
    for name, value in (metadata or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(
                f"safetensors metadata maps strings to strings, got {name!r}: "
                f"{value!r}; encode other values, e.g. with json.dumps"
            )
