"""Moving a module to a device, or casting it to a dtype, in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.backends import Device, DeviceLike
from neurenix.dtypes import DType, as_dtype, is_floating
from neurenix.errors import DTypeError

if TYPE_CHECKING:
    from neurenix.nn.module import Module


def move_module(
    module: Module,
    targets: tuple[Any, ...],
    device: DeviceLike | None,
    dtype: DType | None,
) -> None:
    """Move all parameters, gradients and buffers of a module, keeping their identity.

    Raises:
        TypeError: Nothing to do was said, or it was said twice.
        DTypeError: The dtype is not a floating one.
    """
    for target in targets:
        if isinstance(target, Device | str) and not _names_dtype(target):
            if device is not None:
                raise TypeError(f"two devices were given: {device} and {target}")
            device = target
        else:
            if dtype is not None:
                raise TypeError(f"two dtypes were given: {dtype} and {target}")
            dtype = as_dtype(target)
    if device is None and dtype is None:
        raise TypeError("to() takes a device, a dtype, or both; none came")
    if dtype is not None:
        dtype = as_dtype(dtype)
        if not is_floating(dtype):
            raise DTypeError(
                f"a module is cast to a floating dtype, not to {dtype}: its parameters need "
                "gradients"
            )
    for tensor in [*module.parameters(), *module.buffers()]:
        if device is not None:
            tensor.to(device, inplace=True)
        if dtype is not None and is_floating(tensor.dtype):
            tensor.to(dtype, inplace=True)


def _names_dtype(target: Device | str) -> bool:
    try:
        as_dtype(target)
    except DTypeError:
        return False
    return True
