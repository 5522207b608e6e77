"""A run killed at any moment and resumed ends like one that ran through, bit by bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killed_runs.py")
IN_MEMORY = Path("/dev/shm")  # where there is one: the runs do little but flush files


@pytest.fixture
def folder() -> Iterator[Path]:
    place = IN_MEMORY if IN_MEMORY.is_dir() and os.access(IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="neurenix-kill-", dir=place) as name:
        yield Path(name)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the runs are forks of one process")
def test_twenty_kills_at_random_moments_leave_history_and_weights_bitwise_the_same(folder):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), "20", "0"],
        capture_output=True,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["killed"] >= 20
    assert found["finished"] >= 1
    assert found["differing"] == []
