"""A backend whose probe does not come back."""

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends():
    yield BackendSpec(
        name="slow-probe",
        device_type="slow_probe",
        api=(1, 0),
        probe="neurenix_broken_slow_probe.backend:probe",
        factory="neurenix_broken_slow_probe.backend:open_backend",
    )
