"""Small models and data, so that a whole training run takes milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.optim import Adam
from neurenix.transfer import History, TransferModel, fine_tune


class TinyConvNet(nn.Module):
    """A small image model with the interface of the zoo's."""

    head = "fc"
    num_features = 6

    def __init__(self, num_classes: int = 5) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.layer1 = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.layer10 = nn.Conv2d(6, 6, 1)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(6, num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.layer10(self.layer1(x)))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.avgpool(x).flatten(1)
        return x if pre_logits else self.fc(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


@dataclass
class Blobs:
    """Two classes of points in four dimensions, which a line does not quite part."""

    train: Any
    train_labels: Any
    val: Any
    val_labels: Any


@pytest.fixture
def convnet() -> TinyConvNet:
    neurenix.manual_seed(3)
    return TinyConvNet()


@pytest.fixture
def mlp() -> nn.Sequential:
    """A base that says nothing about its classifier: 4 -> 8 -> 5."""
    neurenix.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 5))


@pytest.fixture
def blobs() -> Blobs:
    rng = np.random.default_rng(0)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % 2
        points = rng.normal(size=(count, 4)) + 0.8 * (2 * labels[:, None] - 1)
        return points.astype(np.float32), labels

    return Blobs(*draw(30), *draw(16))


@pytest.fixture
def photos() -> np.ndarray:
    """Eight images of noise."""
    return np.random.default_rng(1).normal(size=(8, 3, 6, 6)).astype(np.float32)


Run = Callable[..., tuple[TransferModel, History]]


@pytest.fixture
def run(blobs: Blobs) -> Run:
    """Train a fresh small model on the blobs; the same arguments train the same model."""

    def run(**options: Any) -> tuple[TransferModel, History]:
        neurenix.manual_seed(7)
        base = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 5))
        model = TransferModel(base, nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 2)))
        data = {
            "train_data": blobs.train,
            "train_labels": blobs.train_labels,
            "val_data": blobs.val,
            "val_labels": blobs.val_labels,
            "epochs": 3,
            "batch_size": 8,
            "verbose": 0,
        }
        optimizer = Adam(model.parameters(), lr=options.pop("lr", 0.02))
        return model, fine_tune(model, optimizer, **(data | options))

    return run
