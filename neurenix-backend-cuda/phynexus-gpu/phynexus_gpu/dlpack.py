"""Memory of a GPU lent to other libraries of Python, and borrowed from them: DLPack.

Nothing is copied. What is lent is ready for any queue, since the engine waits for its own first; a
lender is told the engine's queue, so that its work comes before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from neurenix.backends.registry import DLPACK_HOST
from neurenix.dtypes import as_dtype
from neurenix.tensor import Tensor

from . import _native

if TYPE_CHECKING:
    from neurenix.backends import Shape
    from neurenix.dtypes import DType

Borrowed: TypeAlias = "tuple[_native.Buffer, DType, Shape, Shape | None]"


def dlpack_device(index: int) -> tuple[int, int]:
    """Return DLPack's numbers of a device; the emulated ones are the host."""
    kind = _native.DLPACK_DEVICE
    return DLPACK_HOST if kind == DLPACK_HOST[0] else (kind, index)


def to_dlpack(
    tensor: Tensor,
    *,
    stream: int | None = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """Return a capsule over a tensor's memory.

    Args:
        tensor: The tensor.
        stream: The borrower's queue; whatever it is, the values are there.
        max_version: The newest version of DLPack that the borrower knows. Before version 1 it
            could not be told that memory may be written, and NumPy then does not.
        dl_device: Where the memory is to be: where it is, or on the host.
        copy: Whether the memory is to be new; None where that does not matter.

    Raises:
        BufferError: The memory cannot be there, or not without a copy.
    """
    del stream
    here = dlpack_device(tensor.device.index)
    wanted = here if dl_device is None else (int(dl_device[0]), int(dl_device[1]))
    if wanted != here:
        if wanted != DLPACK_HOST or copy is False:
            raise BufferError(f"memory of DLPack's device {here} cannot be lent on {wanted}")
        return tensor.numpy().__dlpack__()
    versioned = max_version is not None and max_version[0] >= 1
    return _native.to_dlpack(tensor.detach().clone() if copy else tensor, versioned)


def from_dlpack(source: Any, index: int) -> Borrowed:
    """Return the memory of an object that is on a device, its dtype, shape and strides.

    Raises:
        BufferError: It is on another device, or of a dtype or layout that there is not here.
    """
    queue = {} if dlpack_device(index) == DLPACK_HOST else {"stream": _native.stream(index)}
    try:
        capsule = source.__dlpack__(max_version=(1, 0), **queue)
    except TypeError:  # it is older than that argument
        capsule = source.__dlpack__(**queue)
    buffer, number, shape, strides = _native.from_dlpack(capsule, index)
    dense: list[int] = []
    count = 1
    for size in reversed(shape):
        dense.insert(0, count)
        count *= size
    is_dense = all(n == 1 or a == b for n, a, b in zip(shape, strides, dense, strict=True))
    return buffer, as_dtype(_native.DTYPES[number]), shape, None if is_dense else strides
