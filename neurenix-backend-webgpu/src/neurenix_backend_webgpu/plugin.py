"""What Neurenix is told of this distribution: a backend for the device type ``webgpu``."""

from __future__ import annotations

from collections.abc import Iterable

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends() -> Iterable[BackendSpec]:
    """Declare the backend; nothing native is loaded for it."""
    yield BackendSpec(
        name="webgpu",
        device_type="webgpu",
        api=(1, 0),
        priority=200,
        probe="neurenix_backend_webgpu.probe:probe",
        factory="neurenix_backend_webgpu.backend:open_backend",
        install_hint="a driver for Vulkan (on Linux: mesa-vulkan-drivers, or the vendor's)",
    )
