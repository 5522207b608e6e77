"""What a plugin declares about a backend, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

API_VERSION = (1, 0)
"""The backend protocol's version. Minor: ops or optional methods came. Major: it broke."""


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """The declaration of a backend. Making one imports nothing native.

    Attributes:
        name: Unique among the installed backends.
        device_type: The device type it serves, such as ``"cpu"``.
        api: The version of the protocol it was written for.
        priority: Of several backends for a type, and of several types, the highest is chosen.
        probe: ``"package.module:function"``; returns None, or the reason why there is no device.
            It is called before the factory and must not load native code.
        factory: ``"package.module:function"``; returns the `Backend`.
        distribution: The distribution it comes with; core fills it in from the entry point.
        install_hint: What to install where the probe says no.
        experimental: Chosen only when it is asked for by name.
    """

    name: str
    device_type: str
    api: tuple[int, int]
    priority: int
    factory: str
    probe: str | None = None
    distribution: str | None = None
    install_hint: str = ""
    experimental: bool = False


class BackendState(Enum):
    """How far a backend got."""

    DECLARED = "declared"
    PROBED = "probed"
    OPEN = "open"
    INCOMPATIBLE = "incompatible"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"


@dataclass(slots=True)
class BackendRecord:
    """One declared backend, its state, and the cause where it is of no use.

    Attributes:
        spec: The declaration.
        state: How far it got.
        cause: Why it is incompatible, unavailable or failed; a sentence.
        traceback: The traceback of a failure.
        backend: The open backend.
    """

    spec: BackendSpec
    state: BackendState = BackendState.DECLARED
    cause: str = ""
    traceback: str = ""
    backend: Any = field(default=None, repr=False)

    @property
    def usable(self) -> bool:
        """Whether it may still be opened, or is open."""
        return self.state in (BackendState.DECLARED, BackendState.PROBED, BackendState.OPEN)


def load_object(path: str) -> Callable[..., Any]:
    """Import ``"package.module:name"`` and return the named object."""
    import importlib

    module, _, name = path.partition(":")
    target: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return target
