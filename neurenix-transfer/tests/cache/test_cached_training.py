"""The feature cache makes no difference to any result: cache on and off, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.autograd import no_grad
from neurenix.data import DataLoader, Dataset
from neurenix.optim import SGD
from neurenix.transfer import TransferModel, fine_tune, unfreeze_layers
from neurenix_transfer.streams import drawing_for

CUTS = {
    "the whole base": None,
    "in front of layer2": ["layer2"],
    "inside layer1": ["layer1.conv.bias"],
    "inside layer2, behind its convolution": ["layer2.bn"],
}


@pytest.mark.parametrize("batch_size", [2, 7, 32])
@pytest.mark.parametrize("cut", CUTS)
def test_cache_on_and_off_are_bitwise_the_same_wherever_the_cut_lies(make, train, cut, batch_size):
    on, off = (
        train(make.convolutional(CUTS[cut]), cache=cache, batch_size=batch_size)
        for cache in ("memory", "off")
    )
    on.assert_same(off)
    assert len(set(on.history["train_loss"])) == 3  # it did train


@pytest.mark.parametrize("batch_size", [7, 32])
def test_cache_on_and_off_are_bitwise_the_same_for_a_base_of_linear_layers(make, train, batch_size):
    runs = [
        train(make.linear(), make.rows(31), make.rows(10), cache, batch_size=batch_size)
        for cache in ("memory", "off")
    ]
    runs[0].assert_same(runs[1])


def test_cache_on_and_off_are_bitwise_the_same_in_batches_of_one(make, train):
    runs = [
        train(make.convolutional(), cache=cache, batch_size=1, epochs=2)
        for cache in ("memory", "off")
    ]
    runs[0].assert_same(runs[1])


@pytest.mark.parametrize("cut", CUTS)
def test_off_agrees_with_a_plain_eager_loop_in_the_first_epoch(make, train, cut):
    (x, y), (val_x, val_y) = make.images(23), make.images(9)
    model = make.convolutional(CUTS[cut])
    options = {"epochs": 1, "batch_size": 7, "shuffle": False, "cache": "off", "verbose": 0}
    # Not Adam: it makes whole steps of the rounding errors that are the gradient of a bias in
    # front of BatchNorm.
    optimizer = SGD(model.parameters(), lr=0.05)
    history = fine_tune(model, optimizer, x, y, val_x, val_y, **options)
    model = make.convolutional(CUTS[cut])
    optimizer = SGD(model.parameters(), lr=0.05)
    losses = []
    model.train()
    for step, start in enumerate(range(0, 23, 7)):
        part = slice(start, start + 7)
        with drawing_for(0, step):
            loss = neurenix.cross_entropy(model(neurenix.Tensor(x[part])), neurenix.Tensor(y[part]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item() * len(x[part]))
    assert history["train_loss"][0] == pytest.approx(sum(losses) / 23, abs=1e-5)
    model.eval()
    with no_grad():
        val_loss = neurenix.cross_entropy(model(neurenix.Tensor(val_x)), neurenix.Tensor(val_y))
    assert history["val_loss"][0] == pytest.approx(val_loss.item(), abs=1e-5)


def test_the_frozen_part_runs_once_a_sample_and_validation_is_cached_as_well(make, train, computed):
    train(make.convolutional(), epochs=5)
    assert computed.samples == 23 + 9


def test_off_runs_the_same_plan_again_in_every_epoch(make, train, computed):
    train(make.convolutional(), cache="off", epochs=5)
    assert computed.samples == 5 * (23 + 9)


def test_the_cut_is_found_again_when_a_callback_unfreezes(make, train, capsys):
    def unfreeze(epoch, history):
        if epoch == 1:
            unfreeze_layers(model, ["layer2"])

    runs = []
    for cache in ("memory", "off"):
        model = make.convolutional()
        for param in model.parameters():
            param.requires_grad = True
        model.freeze_base_model()
        runs.append(train(model, cache=cache, epochs=4, callbacks=[unfreeze], verbose=1))
    runs[0].assert_same(runs[1])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Frozen")]
    assert len(lines) == 4  # two a run
    assert "up to base_model.layer1;" in lines[1]


def test_features_of_weights_that_a_callback_changed_are_not_used(make, train):
    def disturb(batch, logs):
        with no_grad():
            model.get_base_model().stem[0].weight.copy_(
                model.get_base_model().stem[0].weight.detach() * 1.01
            )

    class Disturb:
        on_train_batch_end = staticmethod(disturb)

    runs = []
    for cache in ("memory", "off"):
        model = make.convolutional()
        runs.append(train(model, cache=cache, epochs=2, callbacks=[Disturb()]))
    runs[0].assert_same(runs[1])


def test_mixup_and_the_average_of_weights_give_the_same_with_the_cache(make, train, capsys):
    runs = [
        train(make.convolutional(["layer2"]), cache=cache, mixup=0.2, ema=0.9, verbose=1)
        for cache in ("memory", "off")
    ]
    runs[0].assert_same(runs[1])
    assert "off for train_data: mixup blends other inputs" in capsys.readouterr().out


class Detaching(nn.Module):
    """Gradients reach ``second`` by one of two paths alone."""

    head = None

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 5)
        self.second = nn.Linear(5, 5)

    def forward(self, x):
        x = self.second(self.first(x))
        with no_grad():
            scale = self.second(x).mean()
        return x.detach() * scale + neurenix.tanh(x)


def test_gradients_stop_where_the_code_stops_them():
    weights = []
    x, y = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32), np.arange(12) % 5
    for traced in (True, False):
        neurenix.manual_seed(0)
        model = Detaching()
        model.first.requires_grad_(False)
        optimizer = SGD(model.parameters(), lr=0.5)
        if traced:
            fine_tune(model, optimizer, x, y, epochs=1, batch_size=12, shuffle=False, verbose=0)
        else:
            neurenix.cross_entropy(model(neurenix.Tensor(x)), neurenix.Tensor(y)).backward()
            optimizer.step()
        weights.append(model.second.weight.detach().numpy().copy())
    np.testing.assert_allclose(weights[0], weights[1], atol=1e-6)


class Centred(nn.Module):
    """What it gives for a sample depends on the samples beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 6)

    def forward(self, x):
        x = self.linear(x)
        return x - x.mean(axis=0, keepdims=True)


def test_a_base_that_mixes_samples_is_not_cut(make, train, capsys):
    model = TransferModel(nn.Sequential(Centred(), nn.Linear(6, 3)), nn.Linear(6, 2))
    train(model, make.rows(12), make.rows(4), "memory", verbose=1)
    out = capsys.readouterr().out
    assert "Frozen part: none in front of what is trained" in out
    assert "runs by its own code: its frozen part has a value that depends on the size" in out


class Reading(nn.Module):
    """A base that looks at its values, so that there is no graph of it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 6)

    def forward(self, x):
        x = self.linear(x)
        return x * 2.0 if x.abs().mean().item() > 0.1 else x


def test_a_model_that_cannot_be_traced_runs_eagerly_and_says_so(make, train, capsys):
    neurenix.manual_seed(0)
    runs = []
    for cache in ("memory", "off"):
        neurenix.manual_seed(0)
        model = TransferModel(nn.Sequential(Reading(), nn.Linear(6, 3)), nn.Linear(6, 2))
        runs.append(train(model, make.rows(12), make.rows(4), cache, verbose=1))
    runs[0].assert_same(runs[1])
    out = capsys.readouterr().out
    assert "Frozen part: the whole base (Sequential)" in out
    assert "No graph of TransferModel, which runs by its own code: TraceError" in out


def test_hooks_see_every_batch_so_that_such_a_model_runs_eagerly(make, train):
    model = make.convolutional()
    seen = []
    model.get_base_model().layer1.register_forward_hook(lambda m, args, out: seen.append(out.shape))
    train(model, epochs=2, val=make.images(7))
    assert len(seen) == 1 + 2 * (4 + 1)  # the check before, and every batch


class Python(nn.Module):
    """Randomness that Neurenix knows nothing of."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 6)

    def forward(self, x):
        x = self.linear(x)
        return x * float(np.random.random()) if self.training else x  # noqa: NPY002


def test_random_numbers_of_python_or_numpy_are_noticed(make, train, capsys):
    model = nn.Sequential(nn.Linear(5, 5), Python(), nn.Linear(6, 2))
    model[0].requires_grad_(False)
    train(model, make.rows(12), make.rows(4), verbose=1)
    assert "draws random numbers of Python's or NumPy's" in capsys.readouterr().out


def test_loaders_with_workers_and_drop_last_give_the_same(make, train):
    x, y = make.images(23)
    runs = []
    for cache, workers in (("memory", 0), ("memory", 2), ("off", 2)):
        data = Dataset(list(map(neurenix.Tensor, x)), [int(each) for each in y])
        loader = DataLoader(data, 5, shuffle=True, num_workers=workers, drop_last=True)
        runs.append(train(make.convolutional(), loader, make.images(9), cache))
    runs[0].assert_same(runs[1])
    runs[0].assert_same(runs[2])


def test_batches_without_numbers_run_the_same_plan(make, train, computed):
    x, y = make.images(12)
    batches = [(neurenix.Tensor(x[n : n + 4]), neurenix.Tensor(y[n : n + 4])) for n in (0, 4, 8)]

    class Batches:
        def __iter__(self):
            return iter(batches)

    run = train(make.convolutional(), Batches(), make.images(9), "off", epochs=2)
    assert computed.samples == 2 * (12 + 9)
    loaded = train(
        make.convolutional(), (x, y), make.images(9), "off", epochs=2, batch_size=4, shuffle=False
    )
    assert run.history["train_loss"] == pytest.approx(loaded.history["train_loss"], abs=1e-6)


def test_tiles_are_of_one_size_where_the_backend_is_batch_invariant(make, train, monkeypatch):
    single = train(make.convolutional(), epochs=2)
    backend = neurenix.default_device().backend
    monkeypatch.setattr(type(backend), "batch_invariant", True)
    tiled = train(make.convolutional(), epochs=2)
    for key in ("train_loss", "val_loss"):
        assert tiled.history[key] == pytest.approx(single.history[key], abs=1e-4)
