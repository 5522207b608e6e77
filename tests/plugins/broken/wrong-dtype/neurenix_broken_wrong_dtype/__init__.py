"""A backend with one kernel that gives another dtype than it should."""

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends():
    yield BackendSpec(
        name="wrong-dtype",
        device_type="wrong_dtype",
        api=(1, 0),
        experimental=True,
        factory="neurenix_broken_wrong_dtype.backend:open_backend",
    )
