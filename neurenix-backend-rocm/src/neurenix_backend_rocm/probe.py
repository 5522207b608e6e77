"""Whether there is a GPU for the engine; asked before anything native is loaded."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

DRIVER = Path("/dev/kfd")
NODES = Path("/sys/class/kfd/kfd/topology/nodes")


def probe() -> str | None:
    """Return None, or why there is no device."""
    engine = "neurenix_backend_rocm.phynexus_gpu"
    if find_spec(engine) is None or find_spec(f"{engine}._native") is None:
        return "no device, because its native module is not built; install the wheel"
    if not DRIVER.exists():
        return "no device, because the amdgpu driver is not loaded"
    if not os.access(DRIVER, os.R_OK | os.W_OK):
        return f"no device, because this user may not use {DRIVER}; it is the group render's"
    if not any(map(_is_gpu, NODES.glob("*/properties"))):
        return "no device, because the amdgpu driver lists no GPU"
    if os.environ.get("HIP_VISIBLE_DEVICES") in ("", "-1"):
        return "no device, because HIP_VISIBLE_DEVICES hides them all"
    return None


def _is_gpu(properties: Path) -> bool:
    """Whether a node of the driver's topology can run kernels; processors are nodes too."""
    try:
        found = re.search(r"^simd_count (\d+)$", properties.read_text(), flags=re.MULTILINE)
    except OSError:
        return False
    return found is not None and int(found[1]) > 0
