"""Whether the engine can run here; asked before anything native is loaded."""

from __future__ import annotations

from importlib.util import find_spec


def probe() -> str | None:
    """Return None, or why there is no engine."""
    if find_spec("neurenix_backend_cpu._native") is None:
        return (
            "its native module is not built; install the wheel, or build it with "
            "`pip install ./neurenix-backend-cpu`, which needs cargo"
        )
    return None
