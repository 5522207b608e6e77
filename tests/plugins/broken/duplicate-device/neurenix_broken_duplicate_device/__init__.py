"""A backend for a device type that another serves, of the same priority."""

from neurenix.plugins import BackendSpec, hookimpl


@hookimpl
def neurenix_register_backends():
    yield BackendSpec(
        name="duplicate-device",
        device_type="cpu",
        api=(1, 0),
        priority=0,
        factory="neurenix_broken_duplicate_device.backend:open_backend",
    )
