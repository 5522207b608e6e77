"""The conformance kit, with the host's help forbidden."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

KIT = "neurenix.testing.conformance"
# The longest first: two run at a time, for each compiles shaders on one core for most of its time.
LEVELS = (
    "test_l1_primitives",
    "test_l2_composites",
    "test_l0_storage",
    "test_l3_gradients",
    "test_l5_plugin",
    "test_l4_compile",
)

Run = subprocess.CompletedProcess[str]


def _run(level: str, report: Path) -> Run:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=."]
    options = ["--neurenix-device=webgpu", f"--neurenix-report={report}"]
    return subprocess.run(
        [*command, "--pyargs", f"{KIT}.{level}", *options],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=report.parent,
        env={**os.environ, "NEURENIX_HOST_FALLBACK": "error", "OPENBLAS_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[Path, Future[Run]]]]:
    """The levels that are asked for, under way."""
    folder = tmp_path_factory.mktemp("kit")
    chosen = {item.callspec.params["level"] for item in request.session.items
              if item.path == request.path and hasattr(item, "callspec")}  # fmt: skip
    with ThreadPoolExecutor(2) as pool:
        started = {}
        for level in LEVELS:
            if level in chosen:
                report = folder / f"{level}.json"
                started[level] = (report, pool.submit(_run, level, report))
        yield started


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_the_kit_passes(level: str, runs: dict[str, tuple[Path, Future[Run]]]) -> None:
    report, run = runs[level]
    done = run.result()
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["failures"] == []
    assert found["distribution"] == "neurenix-backend-webgpu"
    ways = {(op, dtype): way for op, its in found["ops"].items() for dtype, way in its.items()}
    # float64, which WGSL has not, is moved and never computed with.
    assert "fallback" not in {way for (_, dtype), way in ways.items() if dtype != "float64"}
