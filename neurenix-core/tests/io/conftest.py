"""A writer of PyTorch's zip format that needs no PyTorch."""

from __future__ import annotations

import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np
import pytest

_STORAGE_OF_DTYPE = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


def _stand_in(module: str, name: str) -> Callable[..., Any]:
    """Return a function that pickles as ``module.name``."""

    def function(*args: Any) -> Any:
        raise AssertionError("a pickle's functions are never called")

    function.__module__, function.__qualname__, function.__name__ = module, name, name
    return function


def _torch_modules() -> dict[str, ModuleType]:
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")
    for name in ("_rebuild_tensor_v2", "_rebuild_parameter", "_rebuild_qtensor"):
        setattr(utils, name, _stand_in("torch._utils", name))
    for name in _STORAGE_OF_DTYPE.values():
        setattr(torch, name, _stand_in("torch", name))
    return {"torch": torch, "torch._utils": utils}


TORCH = _torch_modules()


@dataclass(eq=False)
class FakeStorage:
    """A storage: elements, and what the pickle says of them."""

    elements: np.ndarray
    key: str
    count: int | None = None

    def persistent_id(self) -> tuple[Any, ...]:
        kind = getattr(TORCH["torch"], _STORAGE_OF_DTYPE[self.elements.dtype.name])
        count = self.elements.size if self.count is None else self.count
        return ("storage", kind, self.key, "cpu", count)


@dataclass(eq=False)
class FakeTensor:
    """A tensor over a storage."""

    storage: FakeStorage
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int = 0
    parameter: bool = False
    function: str = "_rebuild_tensor_v2"
    metadata: dict[str, bool] | None = None

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        utils = TORCH["torch._utils"]
        if self.parameter:
            data = FakeTensor(self.storage, self.size, self.stride, self.offset)
            return utils._rebuild_parameter, (data, True, OrderedDict())
        arguments = (self.storage, self.offset, self.size, self.stride, False, OrderedDict())
        if self.metadata is not None:
            arguments += (self.metadata,)
        return getattr(utils, self.function), arguments


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return value.persistent_id() if isinstance(value, FakeStorage) else None


@dataclass
class TorchZip:
    """Writes files as ``torch.save`` does, and broken ones too."""

    storages: list[FakeStorage] = field(default_factory=list)

    def storage(self, array: np.ndarray, count: int | None = None) -> FakeStorage:
        self.storages.append(FakeStorage(array.reshape(-1), str(len(self.storages)), count))
        return self.storages[-1]

    def tensor(self, array: np.ndarray, **options: Any) -> FakeTensor:
        array = np.asarray(array)
        stride = tuple(step // array.itemsize for step in array.strides)
        return FakeTensor(self.storage(array), array.shape, stride, **options)

    def pickle(self, value: Any, protocol: int = 2) -> bytes:
        stream = io.BytesIO()
        with pytest.MonkeyPatch.context() as patch:
            for name, module in TORCH.items():
                patch.setitem(sys.modules, name, module)
            _Pickler(stream, protocol).dump(value)
        return stream.getvalue()

    def save(
        self,
        path: Path,
        value: Any,
        *,
        root: str = "archive",
        protocol: int = 2,
        byteorder: str | None = "little",
        compression: int = zipfile.ZIP_STORED,
        data: bytes | None = None,
        records: dict[str, bytes] | None = None,
    ) -> Path:
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr(
                f"{root}/data.pkl", self.pickle(value, protocol) if data is None else data
            )
            if byteorder is not None:
                archive.writestr(f"{root}/byteorder", byteorder)
            for storage in self.storages:
                array = storage.elements
                if byteorder == "big":
                    array = array.byteswap()
                archive.writestr(f"{root}/data/{storage.key}", array.tobytes())
            archive.writestr(f"{root}/version", "3\n")
            for name, content in (records or {}).items():
                archive.writestr(f"{root}/{name}", content)
        return path


@pytest.fixture
def torch_zip() -> TorchZip:
    """Return a fresh writer of PyTorch's zip format."""
    return TorchZip()


@pytest.fixture(params=list(_STORAGE_OF_DTYPE))
def every_dtype(request: pytest.FixtureRequest) -> np.dtype:
    """Return each dtype in turn."""
    name = request.param
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)
