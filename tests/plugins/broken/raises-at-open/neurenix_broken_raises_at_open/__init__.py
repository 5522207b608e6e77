"""A backend that cannot be opened."""

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends():
    yield BackendSpec(
        name="raises-at-open",
        device_type="raises_at_open",
        api=(1, 0),
        factory="neurenix_broken_raises_at_open.backend:open_backend",
    )
