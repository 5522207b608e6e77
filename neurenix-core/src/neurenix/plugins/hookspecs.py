"""The hooks a plugin may implement. All are off the hot path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from neurenix.plugins.spec import BackendRecord, BackendSpec

if TYPE_CHECKING:
    from neurenix.backends.protocol import Kernel

PROJECT = "neurenix"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class DeviceHooks:
    """Hooks about devices."""

    @hookspec
    def neurenix_register_backends(self) -> Iterable[BackendSpec]:  # type: ignore[empty-body]
        """Declare backends. Called at the first question about devices.

        Example::

            @hookimpl
            def neurenix_register_backends():
                yield BackendSpec("acme", "npu", api=(1, 0), priority=50,
                                  factory="neurenix_backend_acme.backend:open_backend")
        """

    @hookspec(firstresult=True)
    def neurenix_select_device(self, available: Sequence[str]) -> str | None:
        """Choose the default device, best first in ``available``; None leaves the choice.

        Called once, when no device was named.
        """

    @hookspec(historic=True)
    def neurenix_backend_opened(self, record: BackendRecord) -> None:
        """Learn that a backend was opened, also of those opened before the plugin came."""

    @hookspec
    def neurenix_backend_failed(self, record: BackendRecord) -> None:
        """Learn that a backend is incompatible, unavailable or failed."""


class TensorHooks:
    """Hooks about ops and kernels."""

    @hookspec
    def neurenix_register_kernels(  # type: ignore[empty-body]
        self, device_type: str
    ) -> Mapping[str, Kernel]:
        """Give kernels for another backend's device, by the names of the ops.

        Called when a device of the type is opened. They take precedence over the backend's own.
        """


def specifications() -> list[type[Any]]:
    """Return the classes that hold the hook specifications."""
    return [DeviceHooks, TensorHooks]
