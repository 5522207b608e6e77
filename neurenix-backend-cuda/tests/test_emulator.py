"""The emulator's own tests: that it finds what kernels do wrong."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.mark.parametrize("vendor", ["emulated", "emulated_hip"])
def test_the_emulator_finds_what_it_should(vendor: str, request: pytest.FixtureRequest) -> None:
    site: Path = request.getfixturevalue(vendor)
    program = site / "phynexus_gpu_emulated" / "emulator_test"
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "the emulator finds what it should\n"
