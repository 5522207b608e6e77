"""The benchmark of this backend runs without its peer, at its smallest; no figure decides."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "webgpu.py"


@pytest.mark.skipif(not SCRIPT.is_file(), reason="the benchmarks are with the whole repository")
def test_the_benchmark_runs_without_its_peer(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    small = ["--rounds", "2", "--size", "64", "--pixels", "32", "--threads", "1"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *small, "--without-peers", "--json", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text(encoding="utf-8"))
    assert "adapter: " in found["remarks"][0]
    names = [{row["name"] for row in comparison["rows"]} for comparison in found["comparisons"]]
    assert names == [{"neurenix"}, {"neurenix eager", "neurenix plan"}]
