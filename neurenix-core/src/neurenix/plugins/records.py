"""What became of a plugin, and of each backend that it declares."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from neurenix.plugins.probe import Probe
from neurenix.plugins.spec import BackendSpec


class BackendState(Enum):
    """How far a plugin or a backend got."""

    DECLARED = "declared"
    """Known, and not looked at any closer yet."""
    PROBED = "probed"
    """Its probe found what it needs."""
    OPEN = "open"
    """In use."""
    DISABLED = "disabled"
    """Left out: by a variable, or because another has its name."""
    INCOMPATIBLE = "incompatible"
    """Written for another version of the protocol."""
    UNAVAILABLE = "unavailable"
    """Its probe, or the list of its devices, says that this machine has none."""
    FAILED = "failed"
    """Its code raised an error, or is not what it was declared to be."""


_DEAD = (
    BackendState.DISABLED,
    BackendState.INCOMPATIBLE,
    BackendState.UNAVAILABLE,
    BackendState.FAILED,
)


@dataclass(slots=True, eq=False)
class PluginRecord:
    """One plugin: a module with hook implementations.

    Attributes:
        name: The name of its entry point.
        module: The module that the entry point names.
        distribution: The distribution it comes with, in normal form (``neurenix-backend-acme``).
        version: That distribution's version; empty where nobody knows it.
        state: ``DECLARED`` once it is loaded, ``DISABLED`` or ``FAILED``.
        cause: Why it is disabled or failed; a sentence without its full stop.
        traceback: The traceback of a failure.
        hooks: The names of the hooks it implements.
    """

    name: str
    module: str
    distribution: str
    version: str = ""
    state: BackendState = BackendState.DECLARED
    cause: str = ""
    traceback: str = ""
    hooks: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What it is called in messages, unique among the plugins."""
        return f"{self.name} ({self.distribution})"

    def fail(self, what: str, error: BaseException) -> None:
        """Note that something it did raised an error, which is being handled."""
        self.state = BackendState.FAILED
        self.cause = f"{what} raised {describe(error)}"
        self.traceback = traceback.format_exc()


@dataclass(slots=True, eq=False)
class BackendRecord:
    """One declared backend, its state, and the cause where it is of no use.

    Attributes:
        spec: The declaration.
        plugin: The plugin that declared it.
        state: How far it got.
        cause: Why it is of no use; a sentence without its full stop.
        traceback: The traceback of a failure.
        backend: The open backend.
        devices: The devices that the open backend has found.
        kernels: The kernels of the open backend, by the names of the ops.
        probe: The call of its probe, once that was made.
    """

    spec: BackendSpec
    plugin: PluginRecord
    state: BackendState = BackendState.DECLARED
    cause: str = ""
    traceback: str = ""
    backend: Any = field(default=None, repr=False)
    devices: tuple[Any, ...] = ()
    kernels: Mapping[str, Any] = field(default_factory=dict, repr=False)
    probe: Probe | None = field(default=None, repr=False)

    @property
    def distribution(self) -> str:
        """The distribution it comes with."""
        return self.plugin.distribution

    @property
    def version(self) -> str:
        """The version of that distribution; empty where nobody knows it."""
        return self.plugin.version

    @property
    def usable(self) -> bool:
        """Whether it may still be opened, or is open."""
        return self.state not in _DEAD


def describe(error: BaseException) -> str:
    """Return an error's type and message in one line, whatever its ``__str__`` does."""
    try:
        message = " ".join(str(error).split())
    except Exception:  # a message that cannot be made is no reason to lose the error's type
        message = ""
    name = type(error).__name__
    return f"{name}: {message}" if message else name
