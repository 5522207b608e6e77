"""What Neurenix is told of this distribution: a backend for the device type ``cuda``."""

from __future__ import annotations

from collections.abc import Iterable

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends() -> Iterable[BackendSpec]:
    """Declare the engine; nothing native is loaded for it.

    It is experimental, used where its device is asked for by name: no GPU has run it yet.
    """
    yield BackendSpec(
        name="phynexus-cuda",
        device_type="cuda",
        api=(1, 0),
        priority=400,
        probe="neurenix_backend_cuda.probe:probe",
        factory="neurenix_backend_cuda.phynexus_gpu.backend:open_backend",
        install_hint="an NVIDIA driver of the series 580 or newer",
        experimental=True,
    )
