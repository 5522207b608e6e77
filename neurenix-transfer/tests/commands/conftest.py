"""Folders of small photos, a small base with weights, and ways to run commands on them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import neurenix
from neurenix import models
from neurenix.cli.shell import app
from neurenix.io import save_safetensors

from . import tiny_base

Invoke = Callable[..., Result]
COLORS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}


def save_photo(path: Path, color: str, seed: int) -> Path:
    """Save a noisy photo of a color, 24 x 20 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng([seed, *COLORS[color]])
    noise = generator.normal(scale=30, size=(20, 24, 3))
    Image.fromarray(np.clip(noise + COLORS[color], 0, 255).astype(np.uint8)).save(path)
    return path


def save_photos(root: Path, counts: dict[str, int], first_seed: int = 0) -> Path:
    """Save so many photos of each class."""
    for color, count in counts.items():
        for number in range(count):
            save_photo(root / color / f"{number:02}.png", color, first_seed + number)
    return root


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with train and val, of two classes."""
    root = tmp_path / "photos"
    save_photos(root / "train", {"blue": 8, "red": 9})
    save_photos(root / "val", {"blue": 4, "red": 3}, first_seed=100)
    return root


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the base's weights."""
    neurenix.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_safetensors(path, models.create("tiny_base").state_dict())
    return path


@pytest.fixture
def invoke() -> Invoke:
    """Run a command in this process."""
    runner = CliRunner()

    def invoke(*arguments: Any) -> Result:
        return runner.invoke(app, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def fine_tune(invoke: Invoke, photos: Path, weights: Path, tmp_path: Path) -> Invoke:
    """Run fine-tune with the small base, for two epochs unless told otherwise."""

    def fine_tune(*arguments: Any, root: Path = photos) -> Result:
        own = [
            "--base",
            "tiny_base",
            "--weights",
            weights,
            "--epochs",
            2,
            "--out",
            tmp_path / "out",
        ]
        return invoke("fine-tune", root, *own, *arguments)

    return fine_tune


@pytest.fixture
def run(fine_tune: Invoke, tmp_path: Path) -> Path:
    """The folder of a finished run."""
    result = fine_tune("--epochs", 8, "--lr", 0.03)
    assert result.exit_code == 0, result.output
    return tmp_path / "out"


def start_process(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-u", str(tiny_base.__file__), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run_process(*arguments: Any) -> tuple[int, str, str]:
    """Run a command in a process of its own; return its exit code and both outputs."""
    process = start_process(*arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err
