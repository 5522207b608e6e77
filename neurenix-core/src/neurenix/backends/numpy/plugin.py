"""NumPy's registration, by the same hook that a third party's backend uses."""

from __future__ import annotations

from collections.abc import Iterable

from neurenix.plugins.hookspecs import hookimpl
from neurenix.plugins.spec import API_VERSION, BackendSpec


@hookimpl
def neurenix_register_backends() -> Iterable[BackendSpec]:
    """Declare the NumPy backend."""
    yield BackendSpec(
        name="numpy",
        device_type="cpu",
        api=API_VERSION,
        priority=0,
        factory="neurenix.backends.numpy.backend:open_backend",
    )
