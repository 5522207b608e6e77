"""The search for a learning rate, and that it leaves no trace."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.optim import SGD, Adam
from neurenix.random import default_generator
from neurenix.transfer import LearningRateCurve, TransferModel, fine_tune, lr_find


@pytest.fixture
def model():
    neurenix.manual_seed(0)
    base = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 5))
    head = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 2))
    return TransferModel(base, head, freeze_base=False)


def everything(model, optimizer):
    """Return all that a run could change, as plain values."""
    return {
        "weights": {name: value.numpy().tobytes() for name, value in model.state_dict().items()},
        "grads": {
            name: None if param.grad is None else (id(param.grad), param.grad.numpy().tobytes())
            for name, param in model.named_parameters()
        },
        "modes": [module.training for module in model.modules()],
        "policies": [module.when_frozen for module in model.modules()],
        "trainable": [param.requires_grad for param in model.parameters()],
        "attributes": sorted(key for key in vars(model) if key == "stop_training"),
        "groups": [
            {key: value for key, value in group.items() if key != "params"}
            for group in optimizer.param_groups
        ],
        "state": [
            {key: (id(value), value.numpy().tobytes()) for key, value in held.items()}
            for held in optimizer.state.values()
        ],
        "random": default_generator().get_state(),
    }


@pytest.mark.parametrize("trained_before", [False, True])
def test_model_optimizer_and_random_numbers_are_left_bitwise_as_they_were(
    model, blobs, trained_before
):
    optimizer = Adam(model.parameters(), lr=0.01)
    x, y = neurenix.Tensor(blobs.train), neurenix.Tensor(blobs.train_labels)
    if trained_before:
        fine_tune(model, optimizer, x, y, epochs=2, verbose=0)
        neurenix.cross_entropy(model(x), y).backward()
    model.train()
    model.get_new_layers().eval()
    before = everything(model, optimizer)
    curve = lr_find(model, optimizer, x, y, steps=30, batch_size=8)
    assert len(curve.lrs) > 10
    assert everything(model, optimizer) == before


def test_it_leaves_no_trace_when_it_is_interrupted(model, blobs):
    optimizer = SGD(model.parameters(), lr=0.01, momentum=0.9)
    calls = []

    def loss_fn(outputs, labels):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return neurenix.cross_entropy(outputs, labels)

    before = everything(model, optimizer)
    with pytest.raises(KeyboardInterrupt):
        lr_find(model, optimizer, blobs.train, blobs.train_labels, loss_fn=loss_fn, batch_size=8)
    assert everything(model, optimizer) == before


def test_a_training_after_it_is_the_one_without_it(run, blobs):
    _, history = run()
    neurenix.manual_seed(7)
    base = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 5))
    model = TransferModel(base, nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 2)))
    optimizer = Adam(model.parameters(), lr=0.02)
    lr_find(model, optimizer, blobs.train, blobs.train_labels, steps=20)
    data = (blobs.train, blobs.train_labels, blobs.val, blobs.val_labels)
    again = fine_tune(model, optimizer, *data, epochs=3, batch_size=8, verbose=0)
    assert again["train_loss"] == history["train_loss"]
    assert again["val_loss"] == history["val_loss"]


def test_rates_rise_exponentially_and_groups_keep_their_ratio(model, blobs):
    rates = []

    class Watched(SGD):
        def step(self, closure=None):
            rates.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    groups = [
        {"params": model.get_base_model().parameters(), "lr": 0.01},
        {"params": model.get_new_layers().parameters(), "lr": 0.1},
    ]
    data = (blobs.train, blobs.train_labels)
    curve = lr_find(model, Watched(groups), *data, start_lr=1e-5, end_lr=1e-2, steps=16)
    expected = np.geomspace(1e-5, 1e-2, 16)
    np.testing.assert_allclose(curve.lrs, expected, rtol=1e-9)
    np.testing.assert_allclose(rates, np.stack([expected, 10 * expected], axis=1), rtol=1e-9)
    assert curve.diverged is False


def test_the_suggestion_is_where_the_loss_falls_fastest():
    lrs = np.geomspace(1e-6, 1.0, 61)
    falling = 2 - 1 / (1 + np.exp(-4 * (np.log10(lrs) + 2.5)))  # steepest at 10^-2.5
    rising = np.where(lrs > 0.1, (lrs / 0.1) ** 2 - 1, 0.0)
    losses = list(falling + rising)
    curve = LearningRateCurve(list(lrs), losses, losses, diverged=False)
    assert curve.suggestion == pytest.approx(10**-2.5, rel=0.3)


def test_there_is_no_suggestion_where_the_loss_only_rises():
    lrs = list(np.geomspace(1e-3, 1.0, 20))
    losses = list(np.linspace(1.0, 3.0, 20))
    assert LearningRateCurve(lrs, losses, losses, diverged=False).suggestion is None


def test_a_sweep_ends_where_the_loss_explodes(blobs):
    neurenix.manual_seed(0)
    model = nn.Linear(4, 1)
    targets = blobs.train.sum(axis=1)
    optimizer = SGD(model.parameters(), lr=0.1)
    curve = lr_find(model, optimizer, blobs.train, targets, end_lr=1e4, batch_size=8)
    assert curve.diverged
    assert len(curve.lrs) < 100
    assert all(np.isfinite(curve.losses))
    assert 1e-3 < curve.suggestion < 1.0


def test_the_suggestion_trains_well(blobs):
    neurenix.manual_seed(0)
    model = nn.Linear(4, 2)
    data = (blobs.train, blobs.train_labels)
    optimizer = SGD(model.parameters(), lr=1e-5)
    rate = lr_find(model, optimizer, *data, batch_size=10).suggestion
    optimizer.param_groups[0]["lr"] = rate
    history = fine_tune(model, optimizer, *data, epochs=10, batch_size=10, verbose=0)
    assert history["train_loss"][-1] < 0.8 * history["train_loss"][0]


def test_options_of_fine_tune_count(model, blobs):
    optimizer = SGD(model.parameters(), lr=0.1)
    data = (blobs.train, blobs.train_labels)
    plain = lr_find(model, optimizer, *data, steps=5)
    weighed = lr_find(model, optimizer, *data, steps=5, class_weight={0: 3.0})
    assert plain.losses != weighed.losses
    assert lr_find(model, optimizer, *data, steps=5).losses == plain.losses


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"start_lr": 0.0}, ValueError),
        ({"start_lr": 1.0, "end_lr": 0.1}, ValueError),
        ({"steps": 3}, ValueError),
        ({"smoothing": 1.0}, ValueError),
        ({"epochs": 3}, TypeError),
        ({"scheduler": None}, TypeError),
        ({"no_such_option": 1}, TypeError),
    ],
)
def test_options_that_make_no_sense_are_errors(model, blobs, options, error):
    optimizer = SGD(model.parameters(), lr=0.1)
    with pytest.raises(error):
        lr_find(model, optimizer, blobs.train, blobs.train_labels, **options)


def test_the_curve_is_drawn_without_a_window(tmp_path):
    pytest.importorskip("matplotlib")
    lrs = list(np.geomspace(1e-5, 1.0, 40))
    losses = [1.0 - 0.02 * number for number in range(40)]
    curve = LearningRateCurve(lrs, losses, losses, diverged=False)
    figure = curve.plot(save=tmp_path / "curves" / "lr.png")
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert f"suggestion: {curve.suggestion:.2g}" in axes.get_legend_handles_labels()[1]
    assert (tmp_path / "curves" / "lr.png").stat().st_size > 1000
