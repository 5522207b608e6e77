"""A backend for a newer minor version of the protocol."""

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends():
    yield BackendSpec(
        name="newer-minor",
        device_type="newer_minor",
        api=(1, 99),
        factory="neurenix_broken_newer_minor.backend:open_backend",
    )
