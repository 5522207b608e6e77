"""Small models with what makes a cut hard, and runs of them that can be compared bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.optim import Adam
from neurenix.transfer import History, TransferModel, fine_tune
from neurenix_transfer.cache.frozen import FrozenSide

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
    """Images of noise, and labels."""
    rng = np.random.default_rng(count)
    return rng.normal(size=(count, 3, 8, 8)).astype(np.float32), np.arange(count) % 2


def rows(count: int) -> tuple[Array, Array]:
    """Rows of five numbers, and labels."""
    rng = np.random.default_rng(count)
    return rng.normal(size=(count, 5)).astype(np.float32), np.arange(count) % 2


def convolutional(fine_tune_layers: list[str] | None = None) -> TransferModel:
    """A frozen convolutional base, Dropout and a Linear."""
    neurenix.manual_seed(4)
    head = nn.Sequential(nn.Dropout(0.4), nn.Linear(6, 2))
    return TransferModel(Net(), head, fine_tune_layers=fine_tune_layers)


def linear() -> TransferModel:
    """A frozen base of Linear layers, and a head with BatchNorm."""
    neurenix.manual_seed(4)
    base = nn.Sequential(
        nn.Linear(5, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 12), nn.ReLU()
    )
    head = nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 2))
    return TransferModel(nn.Sequential(base, nn.Linear(12, 3)), head)


@dataclass
class Run:
    """A finished training."""

    model: Any
    optimizer: Any
    history: History

    def assert_same(self, other: Run) -> None:
        """Compare bit by bit, but for ``epoch_time``."""
        mine, theirs = self.history, other.history
        for key in mine.keys() | theirs.keys():
            if key != "epoch_time":
                assert mine[key] == theirs[key], key
        states = self.model.state_dict(), other.model.state_dict()
        assert states[0].keys() == states[1].keys()
        for name, tensor in states[0].items():
            assert tensor.numpy().tobytes() == states[1][name].numpy().tobytes(), name
        assert _bits(self.optimizer.state_dict()) == _bits(other.optimizer.state_dict())


def _bits(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _bits(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [_bits(value) for value in state]
    return state.numpy().tobytes() if isinstance(state, Tensor) else state


@dataclass
class Makers:
    """What the tests build from."""

    net: Callable[[], nn.Module] = Net
    convolutional: Callable[..., TransferModel] = convolutional
    linear: Callable[[], TransferModel] = linear
    images: Callable[[int], tuple[Array, Array]] = images
    rows: Callable[[int], tuple[Array, Array]] = rows


@pytest.fixture
def make() -> Makers:
    """Return what builds models and data."""
    return Makers()


@pytest.fixture
def train() -> Callable[..., Run]:
    """Train a model; images by default."""

    def train(
        model: nn.Module, data: Any = None, val: Any = None, cache: str = "memory", **options: Any
    ) -> Run:
        data = images(23) if data is None else data
        val = images(9) if val is None else val
        pairs = (
            (data if isinstance(data, tuple) else (data, None)),
            (val if isinstance(val, tuple) else (val, None)),
        )
        optimizer = Adam(model.parameters(), lr=0.01)
        given = {"epochs": 3, "batch_size": 7, "verbose": 0} | options
        return Run(
            model,
            optimizer,
            fine_tune(model, optimizer, *pairs[0], *pairs[1], cache=cache, **given),
        )

    return train


@dataclass
class Computed:
    """How many samples went through frozen parts."""

    samples: int = 0
    batches: list[int] = field(default_factory=list)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Computed:
    """Count the samples that frozen parts compute, but for the check of a cut."""
    counted = Computed()
    run, verify = FrozenSide.run, FrozenSide.verify
    checking = False

    def counting(self: FrozenSide, samples: Any) -> Any:
        if not checking:
            counted.samples += len(samples)
            counted.batches.append(len(samples))
        return run(self, samples)

    def uncounted(self: FrozenSide, *args: Any) -> None:
        nonlocal checking
        checking = True
        try:
            verify(self, *args)
        finally:
            checking = False

    monkeypatch.setattr(FrozenSide, "run", counting)
    monkeypatch.setattr(FrozenSide, "verify", uncounted)
    return counted


@pytest.fixture
def home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A NEURENIX_HOME of the test's own."""
    folder = tmp_path / "home"
    monkeypatch.setenv("NEURENIX_HOME", str(folder))
    return folder
