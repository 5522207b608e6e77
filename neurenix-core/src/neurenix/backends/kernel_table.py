"""The kernels of one device: (op, dtypes) to the native kernel, or to None.

The dtypes are those of the inputs, and that of the op's attribute ``dtype`` where it has one.

A lookup is a plain dict hit. A key seen for the first time is resolved and kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from neurenix.backends.protocol import Kernel

if TYPE_CHECKING:
    from neurenix.ops.op import Op


class KernelTable(dict[tuple[Any, ...], Kernel | None]):
    """Native kernels by op and dtypes; ``None`` where the device has none.

    Args:
        native: The device's kernels, by the names of the ops.
    """

    __slots__ = ("native",)

    def __init__(self, native: Mapping[str, Kernel]) -> None:
        super().__init__()
        self.native = dict(native)

    def __missing__(self, key: tuple[Any, ...]) -> Kernel | None:
        op: Op = key[0]
        kernel = self.native.get(op.name)
        if kernel is not None and not all(d is None or d in kernel.dtypes for d in key[1:]):
            kernel = None
        self[key] = kernel
        return kernel
