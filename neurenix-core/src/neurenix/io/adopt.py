"""Tensors over memory that was read from a file."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurenix.dtypes import as_dtype
from neurenix.ops.dispatch import make
from neurenix.ops.tape import version_of
from neurenix.tensor import Tensor
from neurenix.tensor.host import from_memory


def adopt(array: np.ndarray[Any, Any]) -> Tensor:
    """Return a tensor that becomes the only owner of a dense, writable, aligned array.

    ``from_numpy`` must expect others to write to its array and so keeps caches from trusting
    it; here nobody else holds the array.
    """
    return from_memory(array, as_dtype(array.dtype))


def strided_view(
    storage: Tensor, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> Tensor:
    """Return a tensor over the storage of a dense one; writing to either changes both.

    Args:
        storage: A dense tensor.
        offset: Of the first element in the storage, in elements.
        shape: The view's.
        strides: The view's, in elements. The caller has checked that it stays inside.
    """
    view = make(storage.buffer, storage.dtype, shape, storage.device, strides, offset)
    view._version = version_of(storage)
    return view
