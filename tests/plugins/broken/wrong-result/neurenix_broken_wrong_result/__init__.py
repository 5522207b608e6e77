"""A backend with one kernel that is wrong in the third digit."""

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends():
    yield BackendSpec(
        name="wrong-result",
        device_type="wrong_result",
        api=(1, 0),
        experimental=True,
        factory="neurenix_broken_wrong_result.backend:open_backend",
    )
