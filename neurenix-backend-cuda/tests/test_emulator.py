"""The emulator's own tests: that it finds what kernels do wrong."""

from __future__ import annotations

import subprocess
from pathlib import Path


def test_the_emulator_finds_what_it_should(emulated: Path) -> None:
    program = emulated / "phynexus_gpu_emulated" / "emulator_test"
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "the emulator finds what it should\n"
