"""Is the processor there? Asked before anything native is loaded."""

from __future__ import annotations

import os


def probe() -> str | None:
    """Return None, or why the processor cannot be used."""
    return "EXAMPLE_ABSENT is set" if os.environ.get("EXAMPLE_ABSENT") else None
