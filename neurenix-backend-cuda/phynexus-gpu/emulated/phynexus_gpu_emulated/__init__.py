"""A device of the type `gpu_emulated`: every kernel of the GPU engine, run on the host.

For the tests of the engine alone; nobody is given it who installs Neurenix.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from neurenix.plugins import BackendSpec, hookimpl

if TYPE_CHECKING:
    from phynexus_gpu_emulated.phynexus_gpu.backend import GpuBackend


@hookimpl
def neurenix_register_backends() -> Iterable[BackendSpec]:
    """Declare the backend."""
    yield BackendSpec(
        name="phynexus-gpu-emulated",
        device_type="gpu_emulated",
        api=(1, 0),
        factory="phynexus_gpu_emulated:open_backend",
        experimental=True,
    )


def open_backend() -> GpuBackend:
    """Open the backend."""
    from phynexus_gpu_emulated.phynexus_gpu.backend import GpuBackend

    return GpuBackend(software=True)
