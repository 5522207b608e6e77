"""The exponential moving average of weights: validated in their place, and kept."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.optim import SGD
from neurenix.transfer import fine_tune


def test_the_average_of_weights_is_bias_corrected_validated_and_kept():
    class Climbing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(neurenix.zeros((1,)))

        def forward(self, x):
            return x * 0.0 + self.weight

    model = Climbing()
    seen = []
    x = np.zeros((6, 1), np.float32)
    targets = np.full(6, 1e6, np.float32)  # so far off that every step is as long

    def remember(epoch, history):
        seen.append(model.weight.item())

    live = []

    class Watch:
        def on_train_batch_end(self, batch, logs):
            live.append(model.weight.item())

    history = fine_tune(
        model,
        SGD(model.parameters(), lr=1e-6),
        x,
        targets,
        x,
        np.zeros(6, np.float32),
        epochs=2,
        batch_size=2,
        ema=0.8,
        callbacks=[remember, Watch()],
        verbose=0,
    )

    def average(values):
        shares = 0.2 * 0.8 ** np.arange(len(values))[::-1]
        return float((shares * values).sum() / (1 - 0.8 ** len(values)))

    assert len(live) == 6
    assert seen == pytest.approx([average(live[:3]), average(live)], rel=1e-5)
    assert history["val_mae"] == pytest.approx(seen, rel=1e-5)  # of the averaged weights
    assert model.weight.item() == pytest.approx(average(live), rel=1e-5)


def test_the_average_of_weights_leaves_the_steps_as_they_are(run):
    model, history = run(epochs=4)
    averaged, smooth = run(epochs=4, ema=0.9)
    assert history["train_loss"] == smooth["train_loss"]
    assert history["val_loss"] != smooth["val_loss"]
    pairs = zip(model.named_parameters(), averaged.named_parameters(), strict=True)
    for (name, a), (_, b) in pairs:
        same = (a.detach().numpy() == b.detach().numpy()).all()
        assert same != name.startswith("new_layers"), name  # what is frozen is exactly as it was


def test_the_average_takes_in_the_statistics_of_batch_norm(photos):
    neurenix.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(108, 2))
    live = []

    class Watch:
        def on_train_batch_end(self, batch, logs):
            live.append(model[0].running_mean.numpy().copy())

    optimizer = SGD(model.parameters(), lr=0.01)
    options = {"epochs": 1, "batch_size": 4, "ema": 0.5, "callbacks": [Watch()], "verbose": 0}
    fine_tune(model, optimizer, photos, [0, 1] * 4, **options)
    expected = (0.25 * live[0] + 0.5 * live[1]) / 0.75
    np.testing.assert_allclose(model[0].running_mean.numpy(), expected, rtol=1e-4)


def test_best_weights_are_those_that_were_validated(run, blobs):
    model, history = run(epochs=6, ema=0.9, restore_best=True, lr=0.3)
    model.eval()
    x, y = Tensor(blobs.val), Tensor(blobs.val_labels)
    found = neurenix.cross_entropy(model(x), y).item()
    assert found == pytest.approx(min(history["val_loss"]), rel=1e-5)
