"""The benchmarks run without their peers, at their smallest; no figure decides anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
ALONE = {
    "resnet18_inference": (
        ["--rounds", "2", "--batch", "2", "--size", "32"],
        {"neurenix eager", "neurenix plan"},
    ),
    "resnet18_training": (
        ["--rounds", "2", "--batch", "4", "--size", "96"],
        {"neurenix eager", "neurenix step"},
    ),
    "tutorial": (
        ["--seeds", "1", "--epochs", "1", "--noise", "4", "--size", "32", "--trains", "layer4"],
        {"neurenix"},
    ),
    "precision": (
        ["--seeds", "1", "--epochs", "1", "--noise", "4", "--size", "32"],
        {"neurenix float32"},
    ),
    "matmul": (["--rounds", "2", "--size", "64"], {"neurenix", "NumPy"}),
    "mlp_step": (["--rounds", "2", "--calls", "2"], {"neurenix eager", "neurenix step"}),
    "startup": (["--rounds", "2"], {"neurenix", "NumPy"}),
}


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a module of the benchmarks, which are scripts that find each other in one folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)

    def load(name: str) -> ModuleType:
        return __import__(name)

    yield load
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]


@pytest.mark.parametrize("script", ALONE)
def test_a_benchmark_runs_without_peers(script: str, tmp_path: Path) -> None:
    arguments, contenders = ALONE[script]
    file = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, BENCHMARKS / f"{script}.py", *arguments,
         "--without-peers", "--threads", "1", "--json", file],
        capture_output=True, text=True, check=False, env=os.environ | {"NEURENIX_DEVICE": "cpu"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "device cpu is served by neurenix-" in done.stdout
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["threads"] == 1
    assert contenders <= {row["name"] for row in found["comparisons"][0]["rows"]}


def test_the_gpus_benchmark_says_why_it_measures_nothing() -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "gpu.py", "--device", "no_such_device"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Nothing is measured on no_such_device: no backend for" in done.stdout


@pytest.mark.parametrize(
    "script", ["bert_encoding", "feature_cache", "dispatch", "linear_probe", "webgpu"]
)
def test_other_benchmarks_start(script: str) -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / f"{script}.py", "--help"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_a_goal_is_measured_round_by_round_against_the_best_peer(module: Any) -> None:
    results = module("results")
    found = results.Results("a.py", None, 1).compare(
        "work", "ms",
        {"neurenix": [1.0, 4.0, 1.0], "slow": [9.0, 9.0, 9.0], "quick": [2.0, 8.0, 2.0]},
        goals=[results.Goal("neurenix", 1.5), results.Goal("neurenix", 1.0, "slow"),
               results.Goal("neurenix", 1.0, "absent")],
        limits={"neurenix": 3.0},
    )  # fmt: skip
    assert [(v.peer, v.ratio) for v in found.verdicts] == [
        ("quick", 2.0), ("slow", 9.0), ("limit of 3 ms", 3.0),
    ]  # fmt: skip


def test_a_peer_that_fails_is_left_out_but_ours_is_not(module: Any) -> None:
    contenders = module("peer").Contenders()
    contenders.add("PyTorch", lambda: 1 / 0)
    assert contenders.left_out == {"PyTorch": "ZeroDivisionError: division by zero"}
    with pytest.raises(ZeroDivisionError):
        contenders.add("neurenix", lambda: 1 / 0)


def test_the_report_writes_between_the_markers_only(module: Any) -> None:
    report = module("report")
    page = report.PAGE.read_text(encoding="utf-8")
    written = report.placed(page, "new figures")
    assert "new figures" in written
    assert report.placed(written, "others") == report.placed(page, "others")
    assert written.partition(report.BEGIN)[0] == page.partition(report.BEGIN)[0]
    with pytest.raises(ValueError, match="lacks the lines"):
        report.placed("no markers", "new figures")
