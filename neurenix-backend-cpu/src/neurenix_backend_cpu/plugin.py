"""What Neurenix is told of this distribution: a backend for the device type ``cpu``."""

from __future__ import annotations

from collections.abc import Iterable

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends() -> Iterable[BackendSpec]:
    """Declare the engine; nothing native is loaded for it."""
    yield BackendSpec(
        name="phynexus-cpu",
        device_type="cpu",
        api=(1, 0),
        priority=100,
        probe="neurenix_backend_cpu.probe:probe",
        factory="neurenix_backend_cpu.backend:open_backend",
    )
