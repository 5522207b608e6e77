"""The estimate of a run's time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix_transfer.photos.estimate import Pace, measure_pace
from neurenix_transfer.runs.model_file import new_head
from neurenix_transfer.transfer_model import TransferModel

from .tiny_base import TinyBase


def test_what_is_frozen_runs_once_a_photo() -> None:
    pace = Pace(frozen=1.0, train=0.5, evaluate=0.25)
    # 10 + 4 photos through the frozen part, 4 again at the end; the rest 3 times, and at the end.
    expected = 18 * 1.0 + 3 * (10 * 0.5 + 4 * 0.25) + 4 * 0.25
    assert pace.seconds(10, 4, 3, augment=False) == pytest.approx(expected)
    # Each epoch sees other crops of the 10.
    assert pace.seconds(10, 4, 3, augment=True) == pytest.approx(expected + 20)


class Clock:
    """Time that passes only where a layer says so."""

    now = 0.0

    def __init__(self) -> None:
        self.start = Clock.now

    @property
    def seconds(self) -> float:
        return Clock.now - self.start


class Slow(nn.Module):
    """Passes its input on, a while later."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.delay = seconds

    def forward(self, x: Tensor) -> Tensor:
        Clock.now += self.delay
        return x


@pytest.fixture
def photos() -> list[Any]:
    return [neurenix.randn((3, 16, 16)) for _ in range(2)]


def test_tells_the_frozen_part_from_the_rest(
    photos: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurenix_transfer.photos.estimate.Stopwatch", Clock)
    base = TinyBase(4)
    base.stem = nn.Sequential(base.stem, Slow(2.0))  # type: ignore[assignment]
    head = nn.Sequential(new_head(8, 3), Slow(1.0))
    pace = measure_pace(TransferModel(base, head), photos, neurenix.default_device())
    assert pace == Pace(frozen=2.0, train=0.5, evaluate=1.0)  # both are trained on in one batch


def test_leaves_the_model_as_it_was(photos: list[Any]) -> None:
    model = TransferModel(TinyBase(4), new_head(8, 3), fine_tune_layers=["body"])
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    measure_pace(model, photos, neurenix.default_device())
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), before[name]), name
    assert all(param.grad is None for param in model.parameters())
