"""The feature cache makes no difference to any result: cache on and off, bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.optim import Adam
from neurenix.transfer import History, TransferModel, fine_tune

Array = np.ndarray[Any, np.dtype[Any]]


class Block(nn.Module):
    """Two paths that meet again, so that a cut inside it has two boundary tensors."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn = nn.BatchNorm2d(channels)
        self.drop = nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop(neurenix.relu(self.bn(self.conv(x))))


class Net(nn.Module):
    """A small image model with BatchNorm and Dropout in the middle."""

    head = "fc"
    num_features = 6

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.layer1 = Block(6)
        self.layer2 = Block(6)
        self.fc = nn.Linear(6, 4)

    def forward_features(self, x: Tensor) -> Tensor:
        return self.layer2(self.layer1(self.stem(x)))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = x.mean(axis=(2, 3))
        return x if pre_logits else self.fc(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def images(count: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(count)
    return rng.normal(size=(count, 3, 8, 8)).astype(np.float32), np.arange(count) % 2


def build(kind: str) -> tuple[TransferModel, tuple[Array, Array], tuple[Array, Array]]:
    neurenix.manual_seed(4)
    if kind == "linear":
        base: nn.Module = nn.Sequential(
            nn.Linear(5, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 12), nn.ReLU()
        )
        model = TransferModel(
            nn.Sequential(base, nn.Linear(12, 3)),
            nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 2)),
        )
        rng = np.random.default_rng(0)
        data = rng.normal(size=(31, 5)).astype(np.float32), np.arange(31) % 2
        return model, data, (data[0][:10] + 0.1, data[1][:10])
    layers = {"convolutional": None, "layer2 unfrozen": ["layer2"], "a bias": ["layer1.conv.bias"]}
    head = nn.Sequential(nn.Dropout(0.4), nn.Linear(6, 2))
    model = TransferModel(Net(), head, fine_tune_layers=layers[kind])
    return model, images(23), images(9)


Trained = tuple[TransferModel, Any, History]


def train(kind: str, cache: str, **options: Any) -> Trained:
    model, data, val = build(kind)
    optimizer = Adam(model.parameters(), lr=0.01)
    options = {"epochs": 4, "batch_size": 7, "verbose": 0} | options
    return model, optimizer, fine_tune(model, optimizer, *data, *val, cache=cache, **options)


def assert_bitwise_same(one: Trained, two: Trained) -> None:
    for key in one[2].keys() | two[2].keys():
        if key != "epoch_time":
            assert one[2][key] == two[2][key], key
    states = one[0].state_dict(), two[0].state_dict()
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert tensor.numpy().tobytes() == states[1][name].numpy().tobytes(), name
    assert flattened(one[1].state_dict()) == flattened(two[1].state_dict())


def flattened(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: flattened(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [flattened(value) for value in state]
    return state.numpy().tobytes() if isinstance(state, Tensor) else state


KINDS = ["convolutional", "layer2 unfrozen", "a bias", "linear"]


@pytest.mark.parametrize("batch_size", [2, 7, 32])
@pytest.mark.parametrize("kind", KINDS)
def test_cache_on_and_off_are_bitwise_the_same(kind: str, batch_size: int) -> None:
    on = train(kind, "memory", batch_size=batch_size)
    off = train(kind, "off", batch_size=batch_size)
    assert_bitwise_same(on, off)
    assert len(set(on[2]["train_loss"])) == 4  # it did train
