"""Which kernel carries out an op of a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurenix.backends.device import Device
    from neurenix.backends.protocol import Kernel
    from neurenix.graph.graph import Value
    from neurenix.ops.op import Op
    from neurenix.tensor import Tensor


def find_kernel(
    device: Device,
    op: Op,
    inputs: Sequence[Value | Tensor | None],
    attrs: Mapping[str, Any],
) -> Kernel | None:
    """Return the kernel that dispatch would take for an op on a device, or None."""
    key = (op, *[None if x is None else x.dtype for x in inputs])
    if "dtype" in attrs:
        key = (*key, attrs["dtype"])
    return device.kernels[key]
