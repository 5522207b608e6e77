"""The adapters of this machine, as their drivers list them."""

from __future__ import annotations

import os

from neurenix_backend_webgpu import _native

# Mesa's layer that sorts GPUs asks the compositor which one the screen hangs on, and complains
# where there is none to ask. This is its own switch.
_SORTING = "NODEVICE_SELECT"
_SESSION = "XDG_RUNTIME_DIR"


def adapters() -> list[tuple[str, str, str, bool, list[tuple[str, int]]]]:
    """Return each adapter's name, driver, interface, whether it is software, and limits."""
    if _SESSION in os.environ or _SORTING in os.environ:
        return _native.list_adapters()
    os.environ[_SORTING] = "1"
    try:
        return _native.list_adapters()
    finally:
        del os.environ[_SORTING]
