"""A small model, and its weights' place in a home folder that the test fills itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import neurenix
from neurenix import nn
from neurenix.models import Weights
from neurenix.tensor import Tensor


class Tiny(nn.Module):
    """A body with a BatchNorm, and a classifier named ``fc``."""

    head = "fc"

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(neurenix.mean(self.bn(self.conv(x)), axis=(2, 3)))


@pytest.fixture
def tiny() -> Tiny:
    """A model of three classes."""
    return Tiny()


@pytest.fixture
def tiny_weights() -> Weights:
    """What is known of the small model's pretrained weights."""
    return Weights("tiny", hub_id="someone/tiny")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder."""
    monkeypatch.setenv("NEURENIX_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
