"""From a folder of photos to a page whose answers are those of `neurenix predict`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chromium import served

pytest.importorskip("neurenix_backend_webgpu", reason="neurenix-backend-webgpu is not installed")
pytestmark = pytest.mark.slow
TOLERANCE = 1e-3


def command(*arguments: Any, cwd: Path) -> str:
    """Run a command as a process of its own, and return what it prints."""
    program = "from neurenix.cli import main; main()"
    line = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(line, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on real photos."""
    place = tmp_path_factory.mktemp("run")
    weights = assets / "weights" / "resnet18.safetensors"
    photos = assets / "hymenoptera_data"
    command(
        "fine-tune", photos, "--base", "resnet18", "--weights", weights, "--out", "ants", cwd=place
    )
    return place / "ants"


@pytest.fixture(scope="module")
def photos(assets: Path) -> list[Path]:
    """Photos of ants and bees, and of what is neither, of several sizes and kinds of files."""
    known = sorted(assets.glob("hymenoptera_data/val/*/*.jpg"))[::17]
    others = [path for path in sorted((assets / "photos").iterdir()) if path.suffix != ".txt"]
    return [*known, *others]


@pytest.fixture(scope="module")
def predicted(run: Path, photos: list[Path]) -> dict[str, dict[str, float]]:
    """The probabilities of the classes of each photo."""
    answers = json.loads(command("predict", run, *photos, "--top", 2, "--json", cwd=run))
    return {
        each["photo"]: {row["class"]: row["probability"] for row in each["top"]} for each in answers
    }


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    command("export", run, "--to", "web", cwd=run)
    return run.with_name("ants-web")


def answer(page: Any, photo: Path) -> dict[str, float]:
    """Choose a photo, and return the probabilities that the page shows."""
    page.set_input_files("#photo", str(photo))
    page.wait_for_selector("#answers[data-backend]")
    bars = page.query_selector_all("#answers li")
    return {
        bar.get_attribute("data-class"): float(bar.get_attribute("data-probability"))
        for bar in bars
    }


@pytest.mark.parametrize("backend", ["javascript", "webgpu"])
def test_the_page_answers_like_predict(
    chromium: Any,
    exported: Path,
    photos: list[Path],
    predicted: dict[str, dict[str, float]],
    backend: str,
) -> None:
    if backend == "webgpu" and json.loads((exported / "plan.json").read_text())["webgpu"] is None:
        pytest.skip("the native module of neurenix-backend-webgpu is not built")
    assert len(photos) > 10
    with served(exported) as address:
        page = chromium.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        page.goto(f"{address}?backend={backend}")
        page.wait_for_selector("#computing:not([hidden])")
        note = page.inner_text("#backend-note")
        if backend == "webgpu" and "finds no GPU" in note:
            pytest.skip(f"this Chromium has no WebGPU: {note}")
        assert page.get_attribute("body", "data-backend") == backend, note
        # Chromium emulates a GPU on the processor, which takes seconds a photo.
        for photo in photos[:: 4 if backend == "webgpu" else 1]:
            assert answer(page, photo) == pytest.approx(predicted[str(photo)], abs=TOLERANCE)
        page.close()
    assert problems == []
