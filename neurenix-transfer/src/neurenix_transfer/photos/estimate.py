"""How long a run will take, from a few photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import neurenix
from neurenix import Tensor
from neurenix_transfer.runs.console import Stopwatch, duration
from neurenix_transfer.transfer_model import TransferModel

SAMPLE = 4
"""Photos that are timed."""


@dataclass(frozen=True)
class Pace:
    """Seconds a photo.

    Attributes:
        frozen: To run what lies in front of everything that is trained.
        train: To train the rest on one: forward, backward, and its share of the step.
        evaluate: To run the rest.
    """

    frozen: float
    train: float
    evaluate: float

    def seconds(self, train_count: int, val_count: int, epochs: int, augment: bool) -> float:
        """Return how long a run takes, the evaluation at its end included.

        What is frozen runs once a photo; with augmentation, once a photo that is trained on and
        epoch.
        """
        frozen_runs = train_count * (epochs if augment else 1) + 2 * val_count
        trained = epochs * (train_count * self.train + val_count * self.evaluate)
        return frozen_runs * self.frozen + trained + val_count * self.evaluate

    def line(self, total: float, epochs: int) -> str:
        """Say it in a line."""
        return (
            f"Estimate: about {duration(total)} for {epochs} epochs: {1000 * self.frozen:.0f} ms a "
            f"photo for what is frozen, {1000 * self.train:.1f} ms to train the rest"
        )


def measure_pace(model: TransferModel, photos: Sequence[Any], device: neurenix.Device) -> Pace:
    """Time the model on a few photos, leaving it as it was.

    It runs in eval mode, so that BatchNorm keeps its statistics.

    Args:
        model: The model.
        photos: Tensors (C, H, W), at least one.
        device: Where to compute.
    """
    model.eval()
    singles = [photo.unsqueeze(0).to(device) for photo in photos]
    _timed(model, singles[0], train=False)  # the first pass also allocates and packs
    timed = [_timed(model, single, train=False) for single in singles]
    frozen, evaluate = (sum(seconds) / len(timed) for seconds in zip(*timed, strict=True))
    _, train = _timed(model, neurenix.concat(singles, axis=0), train=True)
    return Pace(frozen, train / len(singles), evaluate)


def _timed(model: TransferModel, batch: Tensor, *, train: bool) -> tuple[float, float]:
    """Return the seconds up to the first layer that is trained, and the seconds from there."""
    reached: list[float] = []
    watch = Stopwatch()
    handles = [
        module.register_forward_pre_hook(lambda *_: reached.append(watch.seconds))
        for module in model.modules()
        if any(param.requires_grad for param in module.parameters(recurse=False))
    ]
    try:
        if train:
            labels = neurenix.zeros((len(batch),), dtype=neurenix.int64, device=batch.device)
            loss = neurenix.cross_entropy(model(batch), labels)
            loss.backward()
            loss.item()
        else:
            with neurenix.no_grad():
                model(batch).numpy()
    finally:
        for handle in handles:
            handle.remove()
        for param in model.parameters():
            param.grad = None
    whole = watch.seconds
    frozen = reached[0] if reached else whole
    return frozen, whole - frozen
