"""Ways to lay the values of an input out in memory; a kernel has to read every one of them."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from neurenix.backends import Device
from neurenix.dtypes import DType
from neurenix.ops import dispatch
from neurenix.ops.shapes import dense_strides
from neurenix.tensor import Tensor

Array: TypeAlias = np.ndarray[Any, Any]
Layout: TypeAlias = Literal["dense", "offset", "strided", "permuted", "repeated"]

LAYOUTS: tuple[Layout, ...] = ("offset", "strided", "permuted", "repeated")
"""All but the plain one: at an odd offset; every other element along the last axis; axes in
reverse order in memory; one slice seen many times along the first axis, by a stride of 0."""

_OFFSET = 5  # elements: no multiple of a vector register, and of float64 none of 16 bytes


def filler(dtype: DType) -> Array:
    """Return the element that is put where nobody may read: a NaN, or a conspicuous number."""
    patterns = {"float64": 0x7FFB3C3C3C3C3C3C, "float32": 0x7FFB3C3C}
    patterns |= {"float16": 0x7F3C, "bfloat16": 0x7FFC}
    if dtype.name in patterns:
        return np.array([patterns[dtype.name]], f"u{dtype.itemsize}").view(dtype)
    return np.array([True if dtype.kind == "b" else 0x3C], dtype)


def place(array: Array, device: Device, layout: Layout = "dense") -> Tensor:
    """Return a tensor of an array's values on a device, laid out in memory in some way."""
    backend = device.backend
    assert backend is not None
    if layout == "dense":
        buffer = backend.from_host(array, device.index)
        return dispatch.make(buffer, array.dtype, array.shape, device)
    offset, strides, extent = _OFFSET, dense_strides(array.shape), array.size
    if layout == "strided" and array.ndim:
        strides, extent = tuple(2 * stride for stride in strides), 2 * array.size
    elif layout == "permuted":
        strides = dense_strides(array.shape[::-1])[::-1]
    elif layout == "repeated" and array.ndim and len(array):
        strides, extent = (0, *strides[1:]), array[0].size
    memory = np.repeat(filler(array.dtype), offset + extent + 3)
    if array.size:
        steps = [stride * array.itemsize for stride in strides]
        np.lib.stride_tricks.as_strided(memory[offset:], array.shape, steps)[...] = array
    buffer = backend.from_host(memory, device.index)
    return dispatch.make(buffer, array.dtype, array.shape, device, strides, offset)
