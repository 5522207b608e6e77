"""fine_tune(precision=): what runs in narrower numbers, what is cached by it, and what is said."""

from __future__ import annotations

import numpy as np
import pytest
from narrow_backend import NarrowBackend

import neurenix
from neurenix import nn
from neurenix.data import TextDataset
from neurenix.data.text import Tokenizer
from neurenix.errors import PrecisionError
from neurenix.graph import RangeMeter
from neurenix.optim import Adam
from neurenix.transfer import CheckpointMismatchError, TransferModel, adapt, fine_tune
from neurenix_transfer.cache.calibrating import calibration_samples
from neurenix_transfer.cache.feature_cache import FeatureCache
from neurenix_transfer.cache.policy import CacheOptions
from neurenix_transfer.sources import FromIterable, InMemory

NARROW = ["bfloat16", "int8"]


@pytest.fixture
def narrow(monkeypatch):
    device = neurenix.default_device()
    backend = NarrowBackend(device.backend)
    monkeypatch.setattr(device, "backend", backend)
    return backend


@pytest.fixture
def measured(monkeypatch):
    """The inputs that calibrations ran on."""
    seen = []
    run = RangeMeter.run

    def noting(meter, inputs):
        seen.append(inputs[0].numpy())
        run(meter, inputs)

    monkeypatch.setattr(RangeMeter, "run", noting)
    return seen


def precision_lines(capsys):
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if line.startswith("Precision")]


# Results ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", NARROW)
@pytest.mark.parametrize("layers", [None, ["layer2"], ["layer1.conv.bias"]])
def test_cache_on_and_off_are_bitwise_the_same_in_every_precision(
    make, train, narrow, precision, layers
):
    on, off = (
        train(make.convolutional(layers), cache=cache, precision=precision)
        for cache in ("memory", "off")
    )
    on.assert_same(off)
    assert any(asked is not None and asked.name == precision for asked in narrow.asked)


@pytest.mark.parametrize("precision", NARROW)
def test_training_follows_the_features_of_the_narrow_plan(make, train, narrow, precision):
    exact, rounded = (
        train(make.convolutional(), precision=each).history for each in ("float32", precision)
    )
    assert exact["train_loss"] != rounded["train_loss"]
    np.testing.assert_allclose(exact["train_loss"], rounded["train_loss"], rtol=0.05)


def test_float32_asks_for_no_precision_and_changes_nothing(make, train, narrow):
    train(make.convolutional(), precision="float32").assert_same(train(make.convolutional()))
    assert {*narrow.asked} == {None}


def test_what_is_trained_and_what_predicts_is_float32(make, train, narrow):
    model = train(make.convolutional(["layer2"]), precision="int8").model
    asked = len(narrow.asked)
    x = neurenix.Tensor(make.images(4)[0])
    with neurenix.no_grad():
        found = model(x).numpy()
        by_parts = model.new_layers(model.forward_base(x)).numpy()
    assert len(narrow.asked) == asked
    np.testing.assert_array_equal(found, by_parts)
    assert {tensor.dtype for tensor in model.parameters()} == {neurenix.float32}


def test_validation_sees_the_features_that_training_sees(make, train, narrow):
    x, y = make.images(23)
    run = train(make.convolutional(), (x, y), (x, y), precision="int8", epochs=1)
    told = [asked for asked in narrow.asked if asked is not None]
    ranges = [sorted(asked.ranges.values()) for asked in told]
    assert ranges  # one plan may serve both
    assert all(each == ranges[0] for each in ranges)
    assert run.history["val_loss"]


# Calibration ------------------------------------------------------------------------------------


def test_int8_is_calibrated_once_on_training_samples_alone(make, train, narrow, measured):
    (x, y), val = make.images(23), make.images(9)
    train(make.convolutional(), (x, y), (val[0] * 100.0, val[1]), precision="int8")
    rows = np.concatenate(measured)
    assert {row.tobytes() for row in rows} == {row.tobytes() for row in x}
    told = next(asked for asked in narrow.asked if asked is not None)
    assert max(told.ranges.values()) < 20 * np.abs(x).max()


def test_calibration_takes_128_samples_spread_evenly_over_the_data():
    data = np.arange(1000, dtype=np.float32)[:, None]
    source = InMemory("train_data", data, np.arange(1000), 7, True, 0)
    found = [int(sample.item()) for sample in calibration_samples(source, singly=True)]
    assert len(found) == 128
    assert found == sorted(found)
    assert {sample // 250 for sample in found} == {0, 1, 2, 3}
    assert [sum(sample // 250 == part for sample in found) for part in range(4)] == [32] * 4
    few = InMemory("train_data", data[:5], np.arange(5), 7, True, 0)
    assert [int(x.item()) for x in calibration_samples(few, singly=True)] == [0, 1, 2, 3, 4]


def test_of_data_without_numbers_the_first_samples_calibrate():
    batches = [(np.full((60, 2), n, np.float32), np.zeros(60, int)) for n in range(9)]
    found = list(calibration_samples(FromIterable("train_data", batches), singly=False))
    assert [sample.shape for sample in found] == [(1, 2)] * 128
    assert [int(sample.numpy()[0, 0]) for sample in found] == [0] * 60 + [1] * 60 + [2] * 8


def test_other_frozen_weights_are_calibrated_anew_from_the_next_epoch_on(make, train, narrow):
    runs, told = [], []
    for cache in ("memory", "off"):
        model = make.convolutional()

        def grow(epoch, history, model=model):
            if epoch == 0:
                with neurenix.no_grad():
                    weight = model.get_base_model().stem[0].weight
                    weight.copy_(weight.detach() * 3.0)

        narrow.asked.clear()
        runs.append(train(model, cache=cache, precision="int8", callbacks=[grow]))
        asked = [each for each in narrow.asked if each is not None]
        told.append([[*each.ranges.values()] for each in asked])
    runs[0].assert_same(runs[1])
    assert told[0] == told[1]
    assert len({ranges[1] for ranges in told[0]}) == 2  # of the stem, before and after


def test_samples_that_are_not_finite_are_no_calibration(make, train, narrow):
    x, y = make.images(23)
    x[3, 0, 0, 0] = np.nan
    with pytest.raises(PrecisionError, match="not finite"):
        train(make.convolutional(), (x, y), precision="int8")


# What is kept -----------------------------------------------------------------------------------


def test_features_on_disk_are_those_of_their_precision_alone(make, train, narrow, computed, home):
    counts = []
    for precision in ("float32", *NARROW, "float32", *NARROW):
        before = computed.samples
        train(make.convolutional(), cache="disk", precision=precision)
        counts.append(computed.samples - before)
    assert counts == [32, 32, 32, 0, 0, 0]


def test_features_in_int8_are_those_of_their_ranges_alone(make, train, narrow, computed, home):
    (x, y), more = make.images(23), make.images(24)
    train(make.convolutional(), (x, y), cache="disk", precision="int8")
    assert computed.samples == 32
    wider = np.concatenate([x, more[0][:1] * 30.0]), np.concatenate([y, more[1][:1]])
    train(make.convolutional(), wider, cache="disk", precision="int8")
    assert computed.samples == 32 + 33  # the same photos, but other steps between values


def test_the_folder_of_features_says_in_what_they_were_computed(make, train, narrow, home):
    from neurenix_transfer.cache.disk import features_folder
    from neurenix_transfer.cache.inventory import summarize_features

    for precision in ("float32", "bfloat16"):
        train(make.convolutional(), cache="disk", precision=precision)
    told = sorted(each.frozen for each in summarize_features(features_folder()))
    assert [line.endswith("in bfloat16") for line in told] == [False, True]


def test_a_resumed_run_keeps_its_precision_and_ends_bitwise_the_same(make, train, narrow, tmp_path):
    def run(epochs, folder, precision="int8", **options):
        kept = {"checkpoint_dir": tmp_path / folder, "precision": precision}
        return train(make.convolutional(["layer2"]), epochs=epochs, **kept, **options)

    whole = run(4, "whole")
    run(2, "broken")
    run(4, "broken", resume_from_checkpoint=True).assert_same(whole)
    for other in ("float32", "bfloat16"):
        with pytest.raises(CheckpointMismatchError, match="precision"):
            run(5, "broken", other, resume_from_checkpoint=True)


# What is said and refused -----------------------------------------------------------------------


def test_what_the_precision_does_is_said_once(make, train, narrow, capsys):
    for precision in NARROW:
        train(make.convolutional(), precision=precision, verbose=1)
    bfloat16, int8 = precision_lines(capsys)
    assert bfloat16.startswith("Precision: bfloat16 for the frozen part; what it gives is 0.")
    assert bfloat16.endswith("Float32 for the rest, and for predictions afterwards")
    assert "int8 for the frozen part, calibrated on 23 training samples; what it gives is" in int8
    train(make.convolutional(), verbose=1)
    assert precision_lines(capsys) == []


def test_where_nothing_is_frozen_float32_is_said(make, train, narrow, capsys):
    train(make.net(), precision="bfloat16", verbose=1, epochs=1)
    assert precision_lines(capsys) == ["Precision: float32, as bfloat16 is for what is frozen"]


def test_a_model_without_a_graph_runs_in_float32_which_is_said(make, train, narrow, capsys):
    model = make.convolutional()
    model.new_layers.register_forward_hook(lambda module, args, out: None)
    train(model, precision="int8", verbose=1, epochs=1)
    (line,) = precision_lines(capsys)
    assert line == "Precision: float32, as int8 takes a graph of the frozen part"


def test_a_backend_without_such_plans_is_an_error_that_says_what_to_do(make, train, monkeypatch):
    device = neurenix.default_device()
    monkeypatch.setattr(device, "backend", NarrowBackend(device.backend, ("float32", "bfloat16")))
    with pytest.raises(PrecisionError, match="has no int8 plans; it has float32, bfloat16"):
        train(make.convolutional(), precision="int8")
    with pytest.raises(PrecisionError, match="pip install neurenix-backend-cpu"):
        adapt(make.convolutional(), *make.images(20), recipe="probe", precision="int8", verbose=0)


def test_a_graph_that_the_backend_has_no_narrow_plan_of_is_an_error(make, train, narrow):
    narrow.knows = False
    with pytest.raises(PrecisionError, match="no bfloat16 plan of the frozen part"):
        train(make.convolutional(), precision="bfloat16")


def test_only_models_of_float32_have_a_precision(make, train, narrow):
    with pytest.raises(PrecisionError, match="models of float32, and this TransferModel is of"):
        train(make.convolutional().to(dtype=neurenix.float64), precision="bfloat16")
    with pytest.raises(ValueError, match="'float32', 'bfloat16' or 'int8', not 'int4'"):
        train(make.convolutional(), precision="int4")


# Recipes and texts ------------------------------------------------------------------------------


def linear_head(make):
    neurenix.manual_seed(4)
    return TransferModel(make.net(), nn.Linear(6, 2))


@pytest.mark.parametrize("recipe", ["probe", "lp-ft", "progressive", "auto"])
def test_recipes_run_the_frozen_part_in_the_precision(make, narrow, recipe):
    history = adapt(
        linear_head(make), *make.images(40), recipe=recipe, precision="int8", epochs=2, verbose=0
    )
    assert history.epochs
    assert any(asked is not None and asked.ranges for asked in narrow.asked)


@pytest.fixture
def texts(text_encoder):
    words = ("free", "prize", "win", "call", "now", "see", "you", "at", "home", "good", "bad")
    rng = np.random.default_rng(0)
    drawn = [" ".join(rng.choice(words, size=rng.integers(1, 16))) for _ in range(33)]
    labels = [int("free" in text) for text in drawn]
    tokenizer = Tokenizer.from_folder(text_encoder, bucket=4)
    return TextDataset(drawn[:23], labels[:23], tokenizer), TextDataset(
        drawn[23:], labels[23:], tokenizer
    )


def test_texts_of_all_lengths_share_one_calibration(train, text_encoder, texts, narrow):
    pytest.importorskip("tokenizers")

    def build():
        neurenix.manual_seed(1)
        return TransferModel(neurenix.models.bert(text_encoder), nn.Linear(32, 2))

    runs = [
        train(build(), *texts, cache, epochs=2, precision="int8") for cache in ("memory", "off")
    ]
    runs[0].assert_same(runs[1])
    told = [asked for asked in narrow.asked if asked is not None]
    assert len(told) > 2
    assert len({tuple(asked.ranges.values()) for asked in told}) == 1


class ByLength(nn.Module):
    """A base of other ops for rows of another length."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(neurenix.ones((1,)))

    def forward(self, x):
        x = x * self.scale
        return (neurenix.exp(x) if x.shape[1] > 3 else x).mean(axis=1, keepdims=True)


def test_shapes_with_other_ops_than_were_calibrated_run_in_float32_which_is_said(
    train, narrow, capsys
):
    model = TransferModel(ByLength(), nn.Linear(1, 2))
    cache = FeatureCache(model, CacheOptions("off", precision="int8"), print)
    source = InMemory("train_data", np.ones((8, 3), np.float32), np.arange(8) % 2, 4, False, 0)
    cache.prepare({"train": (source, source.gather([0]))}, 0)
    split = cache._parts["train"].split
    longer = neurenix.full((1, 5), 0.3)
    (features,) = split.run_frozen([longer])
    assert features.parts[0].item() == pytest.approx(np.exp(0.3), abs=1e-6)
    split.run_frozen([longer])
    lines = precision_lines(capsys)
    assert lines[1:] == [
        "Precision: float32 for samples of the shape (5,), whose graph has other ops than those "
        "that int8 was calibrated on"
    ]


def test_the_option_is_an_argument_of_fine_tune_itself(make, narrow):
    model = make.convolutional()
    optimizer = Adam(model.parameters(), lr=0.01)
    fine_tune(model, optimizer, *make.images(9), epochs=1, precision="bfloat16", verbose=0)
    assert narrow.asked[0] is not None
