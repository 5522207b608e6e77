"""The declaration of the backend. Nothing else is imported until its device is asked for."""

from __future__ import annotations

from collections.abc import Iterable

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends() -> Iterable[BackendSpec]:
    """Declare the backend."""
    yield BackendSpec(
        name="example",
        device_type="example",
        api=(1, 0),
        probe="neurenix_backend_example.probe:probe",
        factory="neurenix_backend_example.backend:open_backend",
        install_hint="unset EXAMPLE_ABSENT",
    )
