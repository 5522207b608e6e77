"""The environment variables about plugins and devices. A value that is not understood is an error.

An empty value counts as none. ``NEURENIX_DEVICE`` is a device's name, and is read where devices
are: in `neurenix.backends`.
"""

from __future__ import annotations

import os

from neurenix.errors import SettingError

AUTOLOAD = "NEURENIX_PLUGIN_AUTOLOAD"
BACKENDS = "NEURENIX_BACKENDS"
DEVICE = "NEURENIX_DEVICE"
HOST_FALLBACK = "NEURENIX_HOST_FALLBACK"


def autoload() -> bool:
    """Whether the plugins of installed distributions are loaded: unless the variable is 0."""
    return _choice(AUTOLOAD, ("1", "0")) == "1"


def host_fallback() -> str:
    """Return ``"warn"``, ``"silent"`` or ``"error"``: what follows where a kernel is missing."""
    return _choice(HOST_FALLBACK, ("warn", "silent", "error"))


def device() -> str | None:
    """Return the name of the default device, where the user has chosen one."""
    return os.environ.get(DEVICE, "").strip() or None


def allowed_backends() -> tuple[str, ...] | None:
    """Return the only plugins to load, the preferred first; None stands for all.

    Each is named by its entry point or its distribution.
    """
    names = [name.strip() for name in os.environ.get(BACKENDS, "").split(",")]
    return tuple(name for name in names if name) or None


def _choice(variable: str, choices: tuple[str, ...]) -> str:
    """Return a variable's value; the first choice is the default."""
    value = os.environ.get(variable, "").strip() or choices[0]
    if value not in choices:
        raise SettingError(
            f"{variable}={value!r} is not understood; expected one of {', '.join(choices)}"
        )
    return value
