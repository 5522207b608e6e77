"""A backend without one of the primitives."""

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends():
    yield BackendSpec(
        name="missing-primitive",
        device_type="missing_primitive",
        api=(1, 0),
        experimental=True,
        factory="neurenix_broken_missing_primitive.backend:open_backend",
    )
