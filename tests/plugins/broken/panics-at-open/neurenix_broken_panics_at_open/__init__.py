"""A backend that panics in native code."""

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends():
    yield BackendSpec(
        name="panics-at-open",
        device_type="panics_at_open",
        api=(1, 0),
        factory="neurenix_broken_panics_at_open.backend:open_backend",
    )
