"""What Neurenix is told of this distribution: a backend for the device type ``rocm``."""

from __future__ import annotations

from collections.abc import Iterable

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends() -> Iterable[BackendSpec]:
    """Declare the engine; nothing native is loaded for it.

    It is experimental, used where its device is asked for by name: no GPU has run it yet.
    """
    yield BackendSpec(
        name="phynexus-rocm",
        device_type="rocm",
        api=(1, 0),
        priority=400,
        probe="neurenix_backend_rocm.probe:probe",
        factory="neurenix_backend_rocm.phynexus_gpu.backend:open_backend",
        install_hint="the amdgpu driver and ROCm's run-time library, libamdhip64",
        experimental=True,
    )
