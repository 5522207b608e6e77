"""The conformance kit on every instruction set that this processor has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KIT = "neurenix.testing.conformance"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["avx512", "avx2", "neon", "portable"])
def test_the_whole_kit_passes(name: str, instruction_sets: tuple[str, ...], tmp_path: Path) -> None:
    if name not in instruction_sets:
        pytest.skip(f"this processor has no {name}")
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=."]
    options = ["--neurenix-device=cpu@neurenix-backend-cpu", f"--neurenix-report={report}"]
    done = subprocess.run(
        [*command, "--pyargs", KIT, *options],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=tmp_path,
        env={**os.environ, "NEURENIX_CPU_ISA": name, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["failures"] == []
    assert found["distribution"] == "neurenix-backend-cpu"
    ways = {op: its["float32"] for op, its in found["ops"].items() if "float32" in its}
    assert len(ways) > 80
    assert "fallback" not in ways.values()
    for op in ("conv2d", "matmul", "linear", "softmax", "adam_step", "layer_norm", "max_pool2d"):
        assert ways[op] == "native", op
