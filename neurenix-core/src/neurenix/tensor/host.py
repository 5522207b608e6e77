"""From data on the host, of any kind, to arrays and tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix.backends.registry import DLPACK_HOST, device_of_dlpack, resolve, sharing_device
from neurenix.dtypes import DType, as_dtype, check_fits, float32, float64, int64
from neurenix.errors import DeviceError, DTypeError, ShapeError
from neurenix.ops import dispatch, tape
from neurenix.tensor.foreign import converted

if TYPE_CHECKING:
    from neurenix.backends.device import DeviceLike
    from neurenix.tensor import Tensor

Array = np.ndarray[Any, Any]


def as_array(data: Any, dtype: DType | None) -> Array:
    """Return data as a host array of a Neurenix dtype."""
    data = converted(data)
    tensor = dispatch.tensor_class()
    own = isinstance(data, (np.ndarray, np.generic)) or hasattr(data, "__array__")
    if isinstance(data, (list, tuple)) and any(isinstance(x, tensor) for x in data):
        data = [x.numpy() if isinstance(x, tensor) else x for x in data]
        own = True
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ShapeError(
            f"nested lists must have equal lengths at each level to form a tensor: {error}"
        ) from None
    if not own:
        _check_numbers(array, data)
        if dtype is None and array.dtype == float64:
            dtype = float32
        elif dtype is None and array.dtype.name in ("uint64", "object"):
            dtype = int64
        if dtype is not None and array.dtype.kind in "iuO" and array.size:
            check_fits(int(array.min()), dtype)
            check_fits(int(array.max()), dtype)
    if dtype is not None and array.dtype != dtype:
        _check_numbers(array, data)
        with np.errstate(all="ignore"):
            array = array.astype(dtype)
    # Dtypes are compared by identity: NumPy has several that are equal to one of ours.
    canonical = as_dtype(array.dtype)
    return array if array.dtype is canonical else array.astype(canonical)


def _check_numbers(array: Array, data: Any) -> None:
    """Check that an array is of numbers; objects are, where they are integers beyond 64 bits."""
    kind = array.dtype.kind
    if kind not in "biufVO" or (kind == "O" and not all(isinstance(x, int) for x in array.flat)):
        raise DTypeError(f"{array.dtype} is no array of numbers: {data!r}")


def from_numpy(array: Array) -> Tensor:
    """Return a tensor over a NumPy array.

    It shares the array's memory where that is dense, aligned and writeable.

    Raises:
        DTypeError: Neurenix has no such dtype.
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"from_numpy takes a NumPy array, not {type(array).__name__}")
    dtype = as_dtype(array.dtype)
    array = array.view(np.ndarray)  # of a subclass, whose operations may mean something else
    if not array.flags.carray or not array.dtype.isnative:
        array = np.array(array, dtype=dtype, order="C")
    tensor = from_memory(array, dtype)
    tape.version_of(tensor).lent = True  # whoever holds the array may write it
    return tensor


def from_memory(array: Array, dtype: DType) -> Tensor:
    """Return a tensor over a dense, aligned, writable array of one of our dtypes, on the CPU."""
    device = sharing_device()
    backend: Any = device.backend
    return dispatch.make(backend.share_host(array, device.index), dtype, array.shape, device)


def from_dlpack(source: Any, device: DeviceLike | None = None) -> Tensor:
    """Return a tensor over the memory of any object that speaks DLPack, without a copy.

    Args:
        source: An array or tensor of another library's.
        device: Where the tensor is to be; by default where the memory is. What is on the host is
            copied to a device that has memory of its own.

    Raises:
        DeviceError: No open device has such memory, or the one named has not.
        BufferError: Neurenix has no such dtype or layout.
    """
    lender = source.__dlpack_device__()
    target = device_of_dlpack(lender) if device is None else resolve(device)
    backend: Any = target and target.backend
    own = backend and getattr(backend, "dlpack_device", None)
    if target is not None and own and own(target.index)[0] == lender[0]:
        buffer, dtype, shape, strides = backend.from_dlpack(source, target.index)
        tensor = dispatch.make(buffer, dtype, shape, target, strides)
        tape.version_of(tensor).lent = True  # whoever holds the memory may write it
        return tensor
    if lender[0] != DLPACK_HOST[0]:
        where = "no open device has" if target is None else f"{target} has not"
        raise DeviceError(
            f"{where} the memory of DLPack's device {tuple(map(int, lender))}; name the device "
            "that has it: from_dlpack(x, device=...)"
        )
    tensor = from_numpy(np.from_dlpack(source))
    return tensor if target is None else tensor.to(target)
