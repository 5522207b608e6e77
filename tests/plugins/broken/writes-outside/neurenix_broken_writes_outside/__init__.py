"""A backend with kernels that write outside their output."""

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends():
    yield BackendSpec(
        name="writes-outside",
        device_type="writes_outside",
        api=(1, 0),
        experimental=True,
        factory="neurenix_broken_writes_outside.backend:open_backend",
    )
