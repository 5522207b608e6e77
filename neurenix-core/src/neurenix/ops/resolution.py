"""Which ops of a device have a kernel, which a decomposition, and which need the host."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import neurenix.ops.fused  # noqa: F401  (declares ops that only graphs use)
from neurenix.backends.registry import host_device
from neurenix.ops.op import OPS

Way: TypeAlias = Literal["native", "decomposed", "host"]


def resolution(kernels: Iterable[str]) -> dict[Way, tuple[str, ...]]:
    """Return how each op is carried out on a device that has kernels for some.

    Views and moves between devices are no work of kernels, and are left out.

    Args:
        kernels: The names of the ops that the device has kernels for.

    Returns:
        ``"native"``: ops with a kernel; ``"decomposed"``: composed of others on the device;
        ``"host"``: primitives without a kernel, which NumPy carries out.
    """
    available = set(kernels)
    ways: dict[Way, list[str]] = {"native": [], "decomposed": [], "host": []}
    for name, op in OPS.items():
        if name in available:
            ways["native"].append(name)
        elif op.decomposition is not None:
            ways["decomposed"].append(name)
        elif name in host_device().kernels.native:
            ways["host"].append(name)
    return {way: tuple(names) for way, names in ways.items()}
