"""Python scalars beside tensors: weak, and kept as 0-d tensors so that kernels see tensors only."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from neurenix.dtypes import DType, Scalar, check_fits, promote, scalar_dtype
from neurenix.errors import DTypeError
from neurenix.ops import dispatch

if TYPE_CHECKING:
    from neurenix.backends.device import Device
    from neurenix.tensor import Tensor

TensorLike: TypeAlias = "Tensor | bool | int | float"

_NUMPY_SCALARS = (np.number, np.bool_)
_CACHE_LIMIT = 512
_constants: dict[tuple[Any, ...], Tensor] = {}


def constant(value: Scalar, dtype: DType, device: Device) -> Tensor:
    """Return a 0-d tensor of a value. It may be shared: nobody may write to it.

    Raises:
        DTypeError: It is an integer that the dtype does not hold.
    """
    # 0.0 and -0.0 are equal keys but different values, and NaN equals nothing.
    cacheable = value != 0 or math.copysign(1.0, value) > 0
    key = (value, dtype, device)
    if cacheable:
        found = _constants.get(key)
        if found is not None:
            return found
    assert device.backend is not None
    check_fits(value, dtype)
    with np.errstate(all="ignore"):
        try:
            array = np.asarray(value).astype(dtype)
        except OverflowError:  # an integer beyond every float
            array = np.asarray(math.inf if value > 0 else -math.inf).astype(dtype)
    tensor = dispatch.make(device.backend.from_host(array, device.index), dtype, (), device)
    if cacheable and value == value:
        if len(_constants) >= _CACHE_LIMIT:
            _constants.clear()
        _constants[key] = tensor
    return tensor


def number_of(tensor: Tensor) -> Scalar | None:
    """Return the number behind a tensor that `constant` shares; None of any other tensor.

    For those who compile graphs: such a tensor never changes, so its number may become code.
    """
    if tensor.ndim:
        return None
    shared = (key[0] for key, found in tuple(_constants.items()) if found is tensor)
    return next(shared, None)


def operands(x: TensorLike | np.generic, y: TensorLike | np.generic) -> tuple[Tensor, Tensor]:
    """Return two operands as tensors of one dtype; NumPy's numbers count as Python's.

    Raises:
        DTypeError: Neither is a tensor, or one is something else.
    """
    if isinstance(x, (bool, int, float)):
        tensor = _tensor(y)
        dtype = scalar_dtype(x, tensor.dtype)
        return constant(x, dtype, tensor.device), tensor.astype(dtype)
    if isinstance(x, _NUMPY_SCALARS):
        return operands(x.item(), y)
    tensor = _tensor(x)
    if isinstance(y, (bool, int, float)):
        dtype = scalar_dtype(y, tensor.dtype)
        return tensor.astype(dtype), constant(y, dtype, tensor.device)
    if isinstance(y, _NUMPY_SCALARS):
        return operands(x, y.item())
    other = _tensor(y)
    if tensor.dtype == other.dtype:
        return tensor, other
    dtype = promote(tensor.dtype, other.dtype)
    return tensor.astype(dtype), other.astype(dtype)


def _tensor(value: Any) -> Tensor:
    if not isinstance(value, dispatch.tensor_class()):
        raise DTypeError(
            f"expected a tensor or a Python number, got {type(value).__name__}; "
            "wrap it: neurenix.Tensor(value)"
        )
    return value
