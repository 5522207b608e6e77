"""Reading PyTorch ``.pth`` files without PyTorch and without running what they hold.

Since version 1.6 ``torch.save`` writes a zip archive: ``data.pkl`` describes the objects, and
each tensor's storage is a file of raw bytes in the folder ``data``. The description is a pickle;
``neurenix.io.pickle_reader`` interprets it and refuses everything but tensors, dicts, lists,
tuples, strings and numbers.
"""

from __future__ import annotations

import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from neurenix import dtypes
from neurenix.io.adopt import adopt, strided_view
from neurenix.io.errors import WeightsFileError
from neurenix.io.pickle_reader import Name, PickleRefusedError, read_pickle
from neurenix.tensor import Tensor

_DTYPE_OF_STORAGE = {
    "torch.FloatStorage": dtypes.float32,
    "torch.DoubleStorage": dtypes.float64,
    "torch.HalfStorage": dtypes.float16,
    "torch.BFloat16Storage": dtypes.bfloat16,
    "torch.LongStorage": dtypes.int64,
    "torch.IntStorage": dtypes.int32,
    "torch.ShortStorage": dtypes.int16,
    "torch.CharStorage": dtypes.int8,
    "torch.ByteStorage": dtypes.uint8,
    "torch.BoolStorage": dtypes.bool_,
}

# How the file formats that torch.save wrote before 1.6 begin: a pickled magic number, or a tar.
LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."

_RESAVE = (
    "resave it where it was made: torch.save(torch.load(path, weights_only=True), path), or as "
    "safetensors"
)


class _Storage(NamedTuple):
    """A tensor's storage as the pickle mentions it; its bytes are read when they are needed."""

    key: str
    dtype: dtypes.DType
    numel: int


def load_pth(path: str | PathLike[str]) -> Any:
    """Read what ``torch.save`` wrote: tensors, and dicts, lists, tuples and plain values of them.

    Nothing in the file is executed. Tensors that share storage in the file share it here;
    devices and ``requires_grad`` are not restored: the tensors are plain data on the CPU.

    Args:
        path: A file in PyTorch's zip format.

    Returns:
        The saved object, its tensors as ``neurenix.Tensor``.

    Raises:
        WeightsFileError: The file is in PyTorch's legacy format, is damaged, or holds anything
            else than plain data; the error names it.
        OSError: The file cannot be opened.
    """
    with open(path, "rb") as file:
        head = file.read(len(LEGACY_MAGIC))
        if not head.startswith(b"PK"):
            raise WeightsFileError(path, _not_a_zip(head))
        try:
            with _damage_named(path):
                archive = zipfile.ZipFile(file)
            return _Archive(path, archive).load()
        except PickleRefusedError as error:
            raise WeightsFileError(
                path,
                f"{error}. Save the state dict alone (torch.save(model.state_dict(), path)), or "
                "as safetensors",
            ) from error


@contextmanager
def _damage_named(path: str | PathLike[str]) -> Iterator[None]:
    """Turn the many errors by which ``zipfile`` reports a damaged archive into one."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        struct.error,
        OSError,
        EOFError,
        ValueError,
        OverflowError,
        RuntimeError,
    ) as error:
        raise WeightsFileError(
            path, f"damaged zip archive ({error}); copy or download it again"
        ) from error


def _not_a_zip(head: bytes) -> str:
    if head == LEGACY_MAGIC:
        return f"it is in PyTorch's legacy format (before 1.6), which is not read; {_RESAVE}"
    return "not a PyTorch file: it is no zip archive"


class _Archive:
    """One open file: finds its records, and rebuilds its tensors."""

    def __init__(self, path: str | PathLike[str], archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive
        self._storages: dict[str, tuple[_Storage, Tensor]] = {}
        names = archive.namelist()
        records = [name for name in names if name.endswith("/data.pkl")]
        if len(records) != 1:
            raise WeightsFileError(
                path,
                f"not a PyTorch file: the zip has {'no' if not records else 'more than one'} "
                f"data.pkl; it holds {', '.join(names[:5]) or 'nothing'}",
            )
        self._root = records[0].removesuffix("data.pkl")
        if f"{self._root}constants.pkl" in names:
            raise WeightsFileError(
                path,
                "it is a TorchScript archive, a program and not only weights; save its weights: "
                "torch.save(torch.jit.load(path).state_dict(), other_path)",
            )
        self._swap = self._byte_order(names) != sys.byteorder

    def load(self) -> Any:
        functions: dict[str, Callable[..., Any] | None] = {
            "collections.OrderedDict": _ordered_dict,
            "torch.Size": _size,
            "torch._utils._rebuild_tensor": self._rebuild_tensor,
            "torch._utils._rebuild_tensor_v2": self._rebuild_tensor,
            "torch._utils._rebuild_parameter": _rebuild_parameter,
            **dict.fromkeys(_DTYPE_OF_STORAGE),
        }
        return read_pickle(self._record("data.pkl").tobytes(), functions, self._storage)

    def _byte_order(self, names: list[str]) -> str:
        if f"{self._root}byteorder" not in names:
            return "little"  # as every file was before the record came
        order = self._record("byteorder").tobytes().decode(errors="replace")
        if order not in ("little", "big"):
            raise WeightsFileError(self._path, f"it has the byte order {order!r}")
        return order

    def _record(self, name: str) -> np.ndarray[Any, Any]:
        """Return the bytes of one file of the archive."""
        try:
            info = self._archive.getinfo(self._root + name)
        except KeyError:
            raise WeightsFileError(
                self._path, f"damaged: the archive lacks its record {name!r}"
            ) from None
        # A stored record cannot be larger than the file, so that nothing here can blow up.
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise WeightsFileError(
                self._path,
                f"its record {name!r} is compressed or encrypted, which PyTorch's never are; "
                f"{_RESAVE}",
            )
        if info.file_size != info.compress_size:
            raise WeightsFileError(self._path, f"damaged: record {name!r} has two sizes")
        with _damage_named(self._path):
            return np.frombuffer(bytearray(self._archive.read(info)), np.uint8)

    def _storage(self, persistent_id: Any) -> _Storage:
        match persistent_id:
            case ("storage", Name(qualified=kind), str(key), str(), int(count)) if (
                kind in _DTYPE_OF_STORAGE and count >= 0
            ):
                return _Storage(key, _DTYPE_OF_STORAGE[kind], count)
        raise PickleRefusedError(f"invalid pickle: {persistent_id!r} is no storage of a tensor")

    def _elements(self, storage: _Storage) -> Tensor:
        if storage.key in self._storages:
            first, elements = self._storages[storage.key]
            if first != storage:
                raise WeightsFileError(
                    self._path,
                    f"storage {storage.key!r} is described twice, as {first.numel} elements of "
                    f"{first.dtype} and as {storage.numel} of {storage.dtype}",
                )
            return elements
        raw = self._record(f"data/{storage.key}")
        if raw.size != storage.numel * storage.dtype.itemsize:
            raise WeightsFileError(
                self._path,
                f"damaged: storage {storage.key!r} should have {storage.numel} elements of "
                f"{storage.dtype}, but has {raw.size} bytes",
            )
        if storage.dtype == dtypes.bool_ and raw.size and raw.max() > 1:
            raise WeightsFileError(
                self._path, f"bool storage {storage.key!r} has bytes other than 0 and 1"
            )
        array = raw.view(storage.dtype)
        if self._swap:
            array = array.byteswap()
        elements = adopt(array)
        self._storages[storage.key] = storage, elements
        return elements

    def _rebuild_tensor(
        self,
        storage: Any,
        offset: Any,
        size: Any,
        stride: Any,
        _requires_grad: Any = False,
        _hooks: Any = None,
        metadata: Any = None,
    ) -> Tensor:
        if metadata:  # such as a sign that is only applied when the tensor is read
            raise PickleRefusedError(f"a tensor has the metadata {metadata!r}, which is not read")
        if not isinstance(storage, _Storage):
            raise PickleRefusedError("invalid pickle: a tensor has no storage")
        if not (_are_sizes((offset,)) and _are_sizes(size) and _are_sizes(stride)):
            raise PickleRefusedError("invalid pickle: a tensor's sizes are no integers")
        elements = self._elements(storage)
        if len(size) != len(stride) or not _fits(elements.size, offset, size, stride):
            raise WeightsFileError(
                self._path,
                f"a tensor of size {list(size)}, stride {list(stride)} and offset {offset} "
                f"reaches outside its storage of {elements.size} elements",
            )
        return strided_view(elements, offset, size, stride)


def _fits(count: int, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    if 0 in size:
        return True
    return offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) < count


def _are_sizes(value: Any) -> bool:
    # Booleans are ints in Python, and no sizes.
    return isinstance(value, tuple) and all(type(n) is int and n >= 0 for n in value)


def _ordered_dict() -> OrderedDict[Any, Any]:
    return OrderedDict()


def _size(sizes: Any = ()) -> tuple[int, ...]:
    if not isinstance(sizes, tuple | list):
        raise PickleRefusedError("invalid pickle: torch.Size of no sequence")
    return tuple(sizes)


def _rebuild_parameter(data: Any, *_ignored: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise PickleRefusedError("invalid pickle: a parameter that is no tensor")
    return data
