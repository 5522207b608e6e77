"""The folder in which the examples of the documentation run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


def _save_photos(folder: Path, count: int, colour: tuple[int, int, int], seed: int) -> None:
    """Save noisy pictures of one colour, so that classes can be told apart."""
    Image = pytest.importorskip("PIL.Image")
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for index in range(count):
        noise = random.normal(0, 40, (48, 64, 3))
        pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.jpg")


@pytest.fixture(scope="session")
def pretrained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with weights for `pretrained=True`: random ones, the pages work with any."""
    import neurenix

    home = tmp_path_factory.mktemp("home")
    neurenix.manual_seed(0)
    path = home / "models" / "resnet18.safetensors"
    path.parent.mkdir()
    neurenix.io.save_safetensors(path, neurenix.models.resnet18().state_dict())
    return home


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretrained_home: Path) -> Path:
    """A folder to work in, with photos of two classes and weights where the pages expect them."""
    for seed, (name, colour) in enumerate({"ants": (150, 90, 60), "bees": (220, 200, 60)}.items()):
        _save_photos(tmp_path / "photos" / "train" / name, 4, colour, seed)
        _save_photos(tmp_path / "photos" / "val" / name, 2, colour, seed + 10)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEURENIX_HOME", str(pretrained_home))
    return tmp_path
