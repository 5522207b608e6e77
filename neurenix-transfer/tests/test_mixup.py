"""Mixup: what is mixed, and what is measured."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.optim import SGD
from neurenix.transfer import fine_tune

LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 0.2, 0.1], [-1.0, 1.5, 0.0], [0.0, 0.0, 3.0]])
LABELS = np.array([0, 1, 1, 2])


class Fixed(nn.Module):
    """Gives its input back plus a bias of zero, so that the loss is known."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(neurenix.zeros((width,)))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_mixup_trains_on_mixtures_and_validates_on_samples():
    seen = []

    class Recorder(Fixed):
        def forward(self, x):
            seen.append((self.training, x.detach().numpy().copy()))
            return super().forward(x)

    model = Recorder(3)
    x = LOGITS.astype(np.float32)
    history = fine_tune(
        model,
        SGD(model.parameters(), lr=0.0),
        x,
        LABELS,
        x,
        LABELS,
        epochs=1,
        batch_size=4,
        verbose=0,
        mixup=1.0,
        shuffle=False,
    )
    mixed = next(values for training, values in seen if training and len(values) == 4)
    share, order = mixture_of(mixed, x)
    assert 0.5 <= share < 1
    logs = log_softmax(mixed.astype(np.float64))
    own, partner = logs[np.arange(4), LABELS], logs[np.arange(4), LABELS[order]]
    expected = -(share * own + (1 - share) * partner).mean()
    assert history["train_loss"] == pytest.approx([expected], rel=1e-5)
    plain = -log_softmax(LOGITS)[np.arange(4), LABELS].mean()
    assert history["val_loss"] == pytest.approx([plain], rel=1e-6)
    assert history["val_accuracy"] == [0.75]


def mixture_of(mixed, x):
    """Find the share and the order that rows were mixed with."""
    from itertools import permutations

    for order in permutations(range(len(x))):
        difference = x - x[list(order)]
        moved = np.abs(difference) > 1e-6
        if not moved.any():
            continue
        shares = 1 - (x - mixed)[moved] / difference[moved]
        share = float(np.median(shares))
        if np.allclose(x * share + x[list(order)] * (1 - share), mixed, atol=1e-5):
            return share, list(order)
    raise AssertionError("no mixture of rows")


def test_mixup_mixes_labels_that_are_numbers():
    model = Fixed(1)
    x = np.array([[1.0], [3.0]], np.float32)
    history = fine_tune(
        model,
        SGD(model.parameters(), lr=0.0),
        x,
        x[:, 0],
        epochs=20,
        batch_size=2,
        verbose=0,
        mixup=1.0,
    )
    assert history["train_loss"] == pytest.approx([0.0] * 20, abs=1e-10)
    assert max(history["train_mae"]) > 0.1  # measured against the sample that weighs more


def test_mixup_depends_on_the_seed_and_the_step(run):
    _, history = run(mixup=0.4, seed=1)
    _, again = run(mixup=0.4, seed=1)
    _, other = run(mixup=0.4, seed=2)
    assert history["train_loss"] == again["train_loss"] != other["train_loss"]
    assert history["train_loss"] != run(seed=1)[1]["train_loss"]


def test_mixup_refuses_whole_numbers(blobs):
    model = nn.Sequential(nn.Embedding(8, 4), nn.Flatten(), nn.Linear(8, 2))
    tokens = np.array([[1, 2], [3, 4]])
    with pytest.raises(TypeError, match="leave mixup out for text"):
        fine_tune(model, SGD(model.parameters(), lr=0.1), tokens, [0, 1], mixup=0.2, verbose=0)
