"""A backend whose probe raises an error."""

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends():
    yield BackendSpec(
        name="raises-at-probe",
        device_type="raises_at_probe",
        api=(1, 0),
        probe="neurenix_broken_raises_at_probe.backend:probe",
        factory="neurenix_broken_raises_at_probe.backend:open_backend",
    )
