"""The conformance kit, with the host's help forbidden."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KIT = "neurenix.testing.conformance"
LEVELS = (
    "test_l0_storage",
    "test_l1_primitives",
    "test_l2_composites",
    "test_l3_gradients",
    "test_l4_compile",
    "test_l5_plugin",
)


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_the_kit_passes(level: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=."]
    options = ["--neurenix-device=webgpu", f"--neurenix-report={report}"]
    done = subprocess.run(
        [*command, "--pyargs", f"{KIT}.{level}", *options],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=tmp_path,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["failures"] == []
    assert found["distribution"] == "neurenix-backend-webgpu"
    ways = {(op, dtype): way for op, its in found["ops"].items() for dtype, way in its.items()}
    # float64, which WGSL has not, is moved and never computed with.
    assert "fallback" not in {way for (_, dtype), way in ways.items() if dtype != "float64"}
