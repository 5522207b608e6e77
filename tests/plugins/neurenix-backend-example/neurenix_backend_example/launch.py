"""How a call of a kernel goes to the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np

from neurenix import Tensor
from neurenix.backends import Kernel
from neurenix_backend_example.processor import Place

Array: TypeAlias = np.ndarray[Any, Any]
Code: TypeAlias = Callable[..., None]

KERNELS: dict[str, Kernel] = {}
"""Every kernel by the name of its op."""


def place(tensor: Tensor) -> Place:
    """Return where a tensor's elements are."""
    return Place(tensor.buffer.number, tensor.dtype, tensor.shape, tensor.strides, tensor.offset)


def kernel(name: str, dtypes: Iterable[Any], strided: bool = False) -> Callable[[Code], Code]:
    """Make the code of the processor, ``code(out, *inputs, **attrs)``, the kernel of an op."""

    def decorate(code: Code) -> Code:
        def launch(out: Tensor, *inputs: Tensor, **attrs: Any) -> None:
            processor = out.buffer.processor
            places = [place(out), *map(place, inputs)]  # now: the tensors may be gone by then
            processor.submit(lambda: code(*map(processor.view, places), **attrs))

        KERNELS[name] = Kernel(launch, frozenset(map(np.dtype, dtypes)), strided)
        return code

    return decorate
