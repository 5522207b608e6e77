"""Whether there is a GPU for the engine; asked before anything native is loaded."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

DEVICES = Path("/dev")
DRIVER = Path("/proc/driver/nvidia/version")


def probe() -> str | None:
    """Return None, or why there is no device."""
    engine = "neurenix_backend_cuda.phynexus_gpu"
    if find_spec(engine) is None or find_spec(f"{engine}._native") is None:
        return "no device, because its native module is not built; install the wheel"
    return why_no_gpu()


def why_no_gpu() -> str | None:
    """Return why this machine has no GPU to use, or None where it has one."""
    # nvidia0, nvidia1 and so on; dxg is the GPU of Windows, in its subsystem for Linux.
    if not any(DEVICES.glob("nvidia[0-9]*")) and not (DEVICES / "dxg").exists():
        if DRIVER.exists():
            return "no device, because the NVIDIA driver is loaded but lists no GPU under /dev"
        return "no device, because no NVIDIA driver is loaded"
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "no device, because CUDA_VISIBLE_DEVICES hides them all"
    return None
