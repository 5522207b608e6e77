"""How long a run will take, from a few photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import neurenix
from neurenix_transfer.photos.console import Stopwatch
from neurenix_transfer.transfer_model import TransferModel

SAMPLE = 4
"""Photos that are timed."""


@dataclass(frozen=True)
class Pace:
    """Seconds a photo.

    Attributes:
        train: To train on one: forward, backward, and its share of the step.
        evaluate: To predict one.
    """

    train: float
    evaluate: float

    def seconds(self, train_count: int, val_count: int, epochs: int) -> float:
        """Return how long a run takes, the evaluation at its end included."""
        training = epochs * (train_count * self.train + val_count * self.evaluate)
        return training + val_count * self.evaluate


def measure_pace(model: TransferModel, photos: list[Any], device: neurenix.Device) -> Pace:
    """Time the model on a few photos, leaving it as it was.

    It runs in eval mode, so that BatchNorm keeps its statistics.

    Args:
        model: The model; what is trained of it costs a backward pass.
        photos: Tensors (C, H, W), at least one.
        device: Where to compute.
    """
    batch = neurenix.stack(photos).to(device)
    labels = neurenix.zeros((len(photos),), dtype=neurenix.int64, device=device)
    model.eval()

    def evaluate() -> None:
        with neurenix.no_grad():
            model(batch).numpy()

    def train() -> None:
        loss = neurenix.cross_entropy(model(batch), labels)
        loss.backward()
        loss.item()
        for param in model.parameters():
            param.grad = None

    evaluate()  # the first pass also allocates and packs
    seconds = []
    for action in (train, evaluate):
        watch = Stopwatch()
        action()
        seconds.append(watch.seconds / len(photos))
    return Pace(*seconds)
