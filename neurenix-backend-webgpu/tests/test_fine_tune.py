"""The main job on the device: a pretrained network learns other classes, as it does on the CPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix import nn
from neurenix.graph import compiled_function

pytest.importorskip("neurenix_transfer")

from neurenix.transfer import TransferModel, fine_tune

# The losses of the two devices differ by rounding, which a training carries along.
TOLERANCE = 1e-3


def _base() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


def _trained(device: str, layers: list[str] | None, *, plans: bool) -> dict[str, list[float]]:
    """Return the history of a training on small random images."""
    nx.manual_seed(0)
    model = TransferModel(_base(), nn.Linear(8, 2), fine_tune_layers=layers)
    model.to(device)
    rng = np.random.default_rng(5)
    images = rng.normal(size=(11, 3, 10, 10)).astype(np.float32)
    labels = np.arange(11) % 2
    optimizer = nx.optim.AdamW(model.parameters(), lr=0.01)
    history = fine_tune(
        model, optimizer, images, labels, images[:5], labels[:5],
        epochs=2, batch_size=4, verbose=0, compile=plans,
    )  # fmt: skip
    return {key: list(history[key]) for key in history if "time" not in key}


@pytest.mark.parametrize("layers", [None, ["4"]], ids=["frozen base", "last convolution"])
def test_training_is_that_of_the_cpu(
    layers: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEURENIX_HOST_FALLBACK", "error")
    made: list[str] = []
    make = compiled_function.make_executable

    def noting(*given: Any) -> Any:
        executable = make(*given)
        made.append(type(executable).__module__)
        return executable

    monkeypatch.setattr(compiled_function, "make_executable", noting)
    ours = _trained("webgpu", layers, plans=True)
    assert set(made) == {"neurenix_backend_webgpu.executable"}
    eager = _trained("webgpu", layers, plans=False)
    theirs = _trained("cpu", layers, plans=False)
    assert ours["train_loss"][0] != ours["train_loss"][1]
    for key in theirs:
        np.testing.assert_allclose(ours[key], theirs[key], atol=TOLERANCE, err_msg=key)
        np.testing.assert_allclose(eager[key], theirs[key], atol=TOLERANCE, err_msg=key)


def _few_photos(assets: Path, place: Path) -> Path:
    """Return a folder with eight photos of each class to train on, and four to validate on."""
    folder = place / "few"
    for part, count in (("train", 8), ("val", 4)):
        for source in sorted((assets / "hymenoptera_data" / part).iterdir()):
            target = folder / part / source.name
            target.mkdir(parents=True)
            for photo in sorted(source.glob("*.jpg"))[:count]:
                shutil.copyfile(photo, target / photo.name)
    return folder


def _history(folder: Path, assets: Path, device: str, *options: str) -> dict[str, Any]:
    """Fine-tune in a process of its own, and return the history that the run keeps."""
    out = folder.parent / device
    arguments = [
        "fine-tune", str(folder), "--out", str(out), "--device", device,
        "--base", "resnet18", "--weights", str(assets / "weights" / "resnet18.safetensors"),
        "--epochs", "2", "--batch-size", "8", "--cache", "memory", *options,
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", "from neurenix.cli import main; main()", *arguments],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "NEURENIX_HOST_FALLBACK": "error"},
    )
    assert done.returncode == 0, done.stderr
    history: dict[str, Any] = json.loads((out / "history.json").read_text())
    return history


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--unfreeze", "layer4")], ids=["frozen base", "layer4"])
def test_the_main_job_on_photos_is_that_of_the_cpu(
    options: tuple[str, ...],
    assets: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    folder = _few_photos(assets, tmp_path)
    ours, theirs = (_history(folder, assets, device, *options) for device in ("webgpu", "cpu"))
    for key in ("train_loss", "val_loss"):
        assert len(ours[key]) == 2
        record_property(key, {"webgpu": ours[key], "cpu": theirs[key]})  # for --junitxml
        np.testing.assert_allclose(ours[key], theirs[key], atol=TOLERANCE, err_msg=key)
    assert ours["train_loss"][1] < ours["train_loss"][0]
