"""Whether there may be a GPU to open; asked before anything native is loaded."""

from __future__ import annotations

import sys
from ctypes.util import find_library
from importlib.util import find_spec


def probe() -> str | None:
    """Return None, or why there is nothing to open.

    Drivers are not asked: loading a broken one can end the process. On Linux the loader of Vulkan,
    or EGL, has to be there; macOS and Windows bring Metal and DX12.
    """
    if find_spec("neurenix_backend_webgpu._native") is None:
        return (
            "its native module is not built; install the wheel, or build it with "
            "`pip install ./neurenix-backend-webgpu`, which needs cargo"
        )
    if sys.platform.startswith("linux") and not (find_library("vulkan") or find_library("EGL")):
        return "neither libvulkan nor libEGL is there, by one of which a GPU is reached"
    return None
