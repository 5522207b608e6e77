"""The kit of Neurenix is the test of this backend."""

from __future__ import annotations

import subprocess
import sys


def test_conformance() -> None:
    kit = ["--pyargs", "neurenix.testing.conformance", "--neurenix-device=example"]
    subprocess.run([sys.executable, "-m", "pytest", "-q", *kit], check=True)
