"""A backend for another major version of the protocol."""

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends():
    yield BackendSpec(
        name="next-major",
        device_type="next_major",
        api=(2, 0),
        factory="neurenix_broken_next_major.backend:open_backend",
    )
