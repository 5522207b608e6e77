"""A backend that takes the name of another."""

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends():
    yield BackendSpec(
        name="numpy",
        device_type="duplicate_name",
        api=(1, 0),
        factory="neurenix_broken_duplicate_name.backend:open_backend",
    )
