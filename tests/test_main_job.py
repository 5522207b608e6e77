"""The main job on real photos: a folder in, a fine-tuned model out, the same answers ever after."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def neurenix(*arguments: Any, cwd: Path) -> str:
    """Run a command as a process of its own, and return what it prints."""
    program = "from neurenix.cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with nothing but the defaults."""
    place = tmp_path_factory.mktemp("main-job")
    weights = assets / "weights" / "resnet18.safetensors"
    arguments = ("--base", "resnet18", "--weights", weights, "--epochs", 10)
    printed = neurenix("fine-tune", assets / "hymenoptera_data", *arguments, cwd=place)
    assert "1 .gif" in printed  # the stray file is counted, and skipped
    return place / "hymenoptera_data-resnet18"


@pytest.fixture(scope="module")
def validation(run: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((run / "run.json").read_text())["result"]["validation"]
    return figures


def test_learns_ants_and_bees(validation: dict[str, Any]) -> None:
    assert validation["total"] == 153
    assert validation["accuracy"] >= 0.93


def test_another_process_reproduces_the_accuracy_on_photos_without_names(
    run: Path, validation: dict[str, Any], assets: Path, tmp_path: Path
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    truth = {}
    photos = sorted(assets.glob("hymenoptera_data/val/*/*.jpg"), key=lambda path: path.name)
    for number, path in enumerate(photos):
        copy = flat / f"{number:04}.jpg"
        shutil.copyfile(path, copy)
        truth[copy.name] = path.parent.name
    answers = json.loads(neurenix("predict", run, flat, "--json", cwd=tmp_path))
    correct = sum(truth[Path(each["photo"]).name] == each["class"] for each in answers)
    assert len(answers) == len(photos) == validation["total"]
    assert correct / len(answers) == validation["accuracy"]


def test_evaluate_gives_the_same_figures(
    run: Path, validation: dict[str, Any], assets: Path, tmp_path: Path
) -> None:
    figures = neurenix("evaluate", run, assets / "hymenoptera_data", "--json", cwd=tmp_path)
    assert json.loads(figures) == validation
