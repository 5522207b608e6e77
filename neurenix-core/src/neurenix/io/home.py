"""The folder where Neurenix keeps what it downloads and computes."""

from __future__ import annotations

import os
from pathlib import Path


def home_folder() -> Path:
    """Return ``$NEURENIX_HOME``, by default ``~/.cache/neurenix``; it need not exist yet."""
    return Path(os.environ.get("NEURENIX_HOME") or "~/.cache/neurenix").expanduser()
