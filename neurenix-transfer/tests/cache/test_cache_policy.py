"""What is cached of which data, what is said of it, and where the cut lies."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.data import DataLoader, Dataset, Subset
from neurenix.data.transforms import Normalize, RandomHorizontalFlip, Transform
from neurenix.transfer import DataError, TransferModel, fine_tune
from neurenix_transfer.cache import CacheError, CacheOptions
from neurenix_transfer.cache.frozen import FrozenSide
from neurenix_transfer.cache.saving import Saving


class Own(Dataset):
    """A class of the user's, deterministic."""


class Drawing(Dataset):
    """A class of the user's that draws random numbers of NumPy's."""

    def __getitem__(self, index):
        x, label = super().__getitem__(index)
        return x + float(np.random.default_rng().normal()), label


def dataset(make, kind=Dataset, transform=None, count=23):
    x, y = make.images(count)
    return kind(list(map(neurenix.Tensor, x)), [int(each) for each in y], transform)


def said(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if "cache" in line.lower()]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda data: data,
        lambda data: Dataset(data.data, data.labels, Normalize((0.5,) * 3, (0.5,) * 3)),
        lambda data: Subset(data, range(23)),
        lambda data: DataLoader(data, 7, shuffle=True),
        lambda data: (data.data, data.labels),
        lambda data: (neurenix.stack(data.data), data.labels),
        lambda data: (np.stack([x.numpy() for x in data.data]), data.labels),
    ],
    ids=["dataset", "our transform", "subset", "loader", "list", "tensor", "array"],
)
def test_auto_caches_what_is_known_to_be_deterministic(make, train, computed, home, wrap):
    train(make.convolutional(), wrap(dataset(make)), make.images(9), "auto")
    assert computed.samples == 23 + 9


@pytest.mark.parametrize(
    ("wrap", "reason"),
    [
        (
            lambda data: Own(data.data, data.labels),
            "train_data is of the class Own, which may give something else at each reading",
        ),
        (
            lambda data: Dataset(data.data, data.labels, lambda x: x * 2),
            "train_data has a transform that may give something else each time: <lambda>",
        ),
        (
            lambda data: DataLoader(data, 7, collate_fn=lambda s: neurenix.data.default_collate(s)),
            "train_data has a collate_fn of its own",
        ),
    ],
    ids=["own dataset", "own callable", "own collate_fn"],
)
def test_auto_does_not_cache_other_code_and_says_so(
    make, train, computed, home, capsys, wrap, reason
):
    train(make.convolutional(), wrap(dataset(make)), make.images(9), "auto", verbose=1)
    assert computed.samples == 3 * 23 + 9
    lines = said(capsys)
    assert any(line.startswith("Feature cache: off for train_data: ") for line in lines)
    assert any(reason in line for line in lines)


def test_on_request_unknown_data_are_read_twice_and_cached(make, train, computed, home):
    for cache in ("memory", "disk"):
        run = train(make.convolutional(), dataset(make, Own), make.images(9), cache)
        assert computed.samples == 23 + 9
        computed.samples = 0
        run.assert_same(train(make.convolutional(), dataset(make), make.images(9), "off"))
        computed.samples = 0
    train(make.convolutional(), dataset(make, Own), make.images(9), "disk")
    assert computed.samples == 0


def test_on_request_a_difference_between_two_readings_raises(make, train, home):
    with pytest.raises(CacheError, match=r"train_data\[0\] differs between two readings") as error:
        train(make.convolutional(), dataset(make, Drawing), make.images(9), "memory")
    assert isinstance(error.value, DataError)
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize("cache", ["auto", "memory", "disk"])
def test_random_augmentation_turns_the_cache_off(make, train, computed, home, capsys, cache):
    data = dataset(make, transform=RandomHorizontalFlip())
    run = train(make.convolutional(), data, make.images(9), cache, verbose=1)
    assert computed.samples == 3 * 23 + 9
    assert "off for train_data: train_data has random augmentation" in "\n".join(said(capsys))
    run.assert_same(train(make.convolutional(), data, make.images(9), "off"))


@pytest.mark.parametrize("cache", ["auto", "memory", "disk"])
def test_views_of_each_sample_are_cached_and_come_in_turn(make, train, computed, home, cache):
    data = dataset(make, transform=RandomHorizontalFlip())
    run = train(make.convolutional(), data, make.images(9), cache, epochs=6, views=2)
    assert computed.samples == 2 * 23 + 9
    off = train(make.convolutional(), data, make.images(9), "off", epochs=6, views=2)
    run.assert_same(off)
    other = train(make.convolutional(), data, make.images(9), "off", epochs=6)
    assert other.history["train_loss"][:2] == run.history["train_loss"][:2]
    assert other.history["train_loss"] != run.history["train_loss"]


def test_a_transform_of_ones_own_may_say_that_it_is_deterministic(make, train, computed, home):
    class Doubled(Transform):
        deterministic = True

        def __call__(self, image):
            return image * 2.0

    data = dataset(make, transform=Doubled())
    train(make.convolutional(), data, make.images(9), "auto")
    assert computed.samples == 23 + 9
    # Its code may change, so that on disk only the values that it gives are a key.
    train(make.convolutional(), data, make.images(9), "disk")
    train(make.convolutional(), data, make.images(9), "disk")
    assert computed.samples == 2 * (23 + 9)


def test_history_gains_nothing(make, train):
    keys = ["train_loss", "val_loss", "train_accuracy", "val_accuracy", "lr", "epoch_time"]
    assert list(train(make.convolutional()).history) == keys


def test_what_is_frozen_and_cached_is_printed_once(make, train, home, capsys):
    train(make.convolutional(["layer2"]), cache="auto", epochs=2, verbose=1, cache_bytes=1 << 20)
    out = capsys.readouterr().out.splitlines()
    assert out[2] == (
        "Frozen part: all up to base_model.layer1; the cut gives a tensor of (6, 8, 8), "
        "1.5 KiB a sample"
    )
    assert out[3] == (
        "Feature cache: 48.0 KiB for 32 samples in memory, up to 1.0 MiB, the rest in "
        f"{home / 'features'}"
    )


def test_several_boundary_tensors_are_counted(make, train, capsys):
    train(make.convolutional(["layer1.bn"]), epochs=1, verbose=1)
    assert "the cut gives 2 tensors of (6, 8, 8), (6, 8, 8), 3.0 KiB" in capsys.readouterr().out


def test_the_saving_is_what_the_hits_had_cost_less_their_look_up():
    saving = Saving(hits=900, misses=100, hit_seconds=90.0, lookup_seconds=1.0, miss_seconds=10.0)
    assert saving.line() == (
        "Feature cache: 900 of 1,000 uses of a sample's features came from the cache, which saved "
        "1 min 29 s (100.0 ms each)"
    )


def test_the_printed_saving_agrees_with_the_measured_one(train, capsys, monkeypatch, make):
    run, clock = FrozenSide.run, [0.0]

    def slow(self, samples):
        clock[0] += 0.1 * len(samples)
        return run(self, samples)

    monkeypatch.setattr(FrozenSide, "run", slow)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    on = train(make.convolutional(), epochs=4, verbose=1)
    printed = re.search(r"which saved (\d+\.\d) s", capsys.readouterr().out)
    off = train(make.convolutional(), cache="off", epochs=4)
    measured = sum(off.history["epoch_time"]) - sum(on.history["epoch_time"])
    assert measured == pytest.approx(3 * 0.1 * (23 + 9))
    assert float(printed[1]) == pytest.approx(measured, abs=0.05)


def test_nothing_is_frozen_where_everything_is_trained(train, make, capsys, computed):
    model = TransferModel(make.net(), nn.Linear(6, 2), freeze_base=False)
    train(model, epochs=1, verbose=1)
    assert "Frozen part: none in front of what is trained" in capsys.readouterr().out
    assert computed.samples == 0


def test_arithmetic_without_weights_is_no_frozen_part(train, make, computed):
    class Scaled(nn.Module):
        def forward(self, x):
            return x / 255.0

    model = nn.Sequential(Scaled(), nn.Flatten(), nn.Linear(192, 2))
    train(model, epochs=1)
    assert computed.samples == 0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"cache": "ram"}, "cache is one of auto, off, memory, disk, not 'ram'"),
        ({"cache_bytes": -1}, "cache_bytes is at least 0"),
        ({"cache_bytes": 1.5}, "cache_bytes is a whole number"),
        ({"views": 0}, "views is at least 1"),
    ],
)
def test_options_out_of_range_raise_before_anything_is_read(make, options, problem):
    model = make.convolutional()
    with pytest.raises((ValueError, TypeError), match=problem):
        fine_tune(model, neurenix.optim.Adam(model.parameters(), lr=0.1), None, **options)


def test_the_default_is_auto():
    assert CacheOptions().mode == "auto"
