"""What a plugin declares: backends, and conversions from foreign types."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from neurenix.errors import PluginError

API_VERSION = (1, 0)
"""The backend protocol's version. Minor: ops or optional methods came. Major: it broke."""

_DEVICE_TYPE = re.compile(r"[a-z][a-z0-9_]*")
_OBJECT_PATH = re.compile(r"[^\s:]+:\w+")


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """The declaration of a backend. Making one imports nothing native.

    Attributes:
        name: Unique among the installed backends.
        device_type: The device type it serves, such as ``"cpu"``.
        api: The version of the protocol it was written for.
        priority: Of several backends for a type, and of several types, the highest is chosen.
            NumPy has 0 and third parties should keep to 50; the project's own have 100 (cpu),
            200 (webgpu) and 400 (cuda, rocm).
        probe: ``"package.module:function"``; returns None, or the reason why there is no device.
            It is called before the factory, in a thread of its own, and must not load native code.
        factory: ``"package.module:function"``; returns the `Backend`.
        distribution: The distribution it comes with; core fills it in from the entry point.
        install_hint: What to install where the probe says no.
        experimental: Chosen only when it is asked for by name.

    Raises:
        PluginError: A field cannot be what it is.
    """

    name: str
    device_type: str
    api: tuple[int, int]
    factory: str
    priority: int = 50
    probe: str | None = None
    distribution: str | None = None
    install_hint: str = ""
    experimental: bool = False

    def __post_init__(self) -> None:
        given: Any = self  # a plugin need not have been type-checked
        self._check(isinstance(given.name, str) and given.name != "", "name", "a name")
        self._check(
            isinstance(given.device_type, str) and bool(_DEVICE_TYPE.fullmatch(given.device_type)),
            "device_type",
            "a lower-case word such as 'npu'",
        )
        self._check(
            isinstance(given.api, tuple)
            and len(given.api) == 2
            and all(isinstance(number, int) for number in given.api),
            "api",
            "a pair (major, minor)",
        )
        self._check(isinstance(given.priority, int), "priority", "an integer")
        for field in ("factory", "probe"):
            path = getattr(given, field)
            absent = path is None and field == "probe"
            self._check(
                absent or (isinstance(path, str) and bool(_OBJECT_PATH.fullmatch(path))),
                field,
                "a string 'package.module:function'",
            )

    def _check(self, good: bool, field: str, expected: str) -> None:
        if not good:
            raise PluginError(
                f"BackendSpec {self.name!r}: {field} must be {expected}, not "
                f"{getattr(self, field)!r}"
            )


@dataclass(frozen=True, slots=True)
class Converter:
    """How ``Tensor(data)`` reads data of a foreign type.

    Attributes:
        type_name: The type's full name, ``"package.module.Class"``; subclasses count. It is a
            string, so that declaring a converter does not import the foreign package.
        function: From the data to a NumPy array, or to nested lists of numbers.
    """

    type_name: str
    function: Callable[[Any], Any]


def load_object(path: str) -> Callable[..., Any]:
    """Import ``"package.module:name"`` and return the named object."""
    module, _, name = path.partition(":")
    target: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return target
