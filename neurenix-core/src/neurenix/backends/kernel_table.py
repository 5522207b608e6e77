"""The kernels of one device: (op, dtypes) to the native kernel, or to None.

The dtypes are those of the inputs, and that of the op's attribute ``dtype`` where it has one.

A lookup is a plain dict hit. A key seen for the first time is resolved and kept. When plugins
change the kernels of a device, it gets another table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from neurenix.backends.protocol import Kernel

if TYPE_CHECKING:
    from neurenix.ops.op import Op


class KernelTable(dict[tuple[Any, ...], Kernel | None]):
    """Native kernels by op and dtypes; ``None`` where the device has none.

    Args:
        own: The backend's kernels, by the names of the ops.
        added: Kernels of plugins, those to be preferred first. A dtype that such a kernel does
            not serve is left to the next.

    Attributes:
        native: The preferred kernel of each op, whatever its dtypes.
    """

    __slots__ = ("_choices", "native")

    def __init__(
        self, own: Mapping[str, Kernel], added: Iterable[Mapping[str, Kernel]] = ()
    ) -> None:
        super().__init__()
        self._choices: dict[str, tuple[Kernel, ...]] = {}
        for kernels in (*added, own):
            for name, kernel in kernels.items():
                self._choices[name] = (*self._choices.get(name, ()), kernel)
        self.native = {name: choices[0] for name, choices in self._choices.items()}

    def __missing__(self, key: tuple[Any, ...]) -> Kernel | None:
        op: Op = key[0]
        found = None
        for kernel in self._choices.get(op.name, ()):
            if all(dtype is None or dtype in kernel.dtypes for dtype in key[1:]):
                found = kernel
                break
        self[key] = found
        return found
