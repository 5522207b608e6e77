"""What callbacks are told, and those that come with the package."""

from __future__ import annotations

import csv
import math
import sys
import types

import numpy as np
import pytest

from neurenix.errors import MissingDependencyError
from neurenix.io import load_safetensors, safetensors_metadata
from neurenix.transfer import (
    Callback,
    CSVLogger,
    ModelCheckpoint,
    ReduceLROnPlateau,
    StopTraining,
    TensorBoard,
    TerminateOnNaN,
)


def test_plain_callables_get_epoch_and_history(run):
    seen = []
    run(epochs=2, callbacks=[lambda epoch, history: seen.append((epoch, len(history["lr"])))])
    assert seen == [(0, 1), (1, 2)]


def test_objects_are_told_of_every_moment_in_order(run):
    class Recorder(Callback):
        def __init__(self):
            self.moments = []

        def on_train_begin(self, history):
            self.moments.append("train begin")

        def on_train_end(self, history):
            self.moments.append(f"train end {history.epochs}")

        def on_epoch_begin(self, epoch, history):
            self.moments.append(f"epoch {epoch} begin")

        def on_epoch_end(self, epoch, history):
            self.moments.append(f"epoch {epoch} end")

        def on_train_batch_begin(self, batch, logs):
            self.moments.append(f"batch {batch} of {logs['size']}")

        def on_train_batch_end(self, batch, logs):
            assert math.isfinite(logs["loss"])

    recorder = Recorder()
    model, _ = run(epochs=2, batch_size=16, callbacks=[recorder])
    epoch = ["epoch {} begin", "batch 0 of 16", "batch 1 of 14", "epoch {} end"]
    expected = [text.format(number) for number in range(2) for text in epoch]
    assert recorder.moments == ["train begin", *expected, "train end 2"]
    assert recorder.model is model
    assert recorder.epochs == 2


def test_methods_and_functions_may_take_fewer_arguments(run):
    seen = []

    class Short:
        def on_train_begin(self):
            seen.append("begin")

        def on_epoch_end(self, epoch):
            seen.append(epoch)

        def on_train_end(self, *args):
            seen.append(len(args))

    run(epochs=1, callbacks=[Short(), lambda: seen.append("called")])
    assert seen == ["begin", 0, "called", 1]


def test_an_object_with_methods_is_not_called_as_a_function(run):
    class Both:
        ended = 0

        def __call__(self, epoch, history):
            raise AssertionError("called as a function")

        def on_epoch_end(self, epoch, history):
            self.ended += 1

    both = Both()
    run(epochs=2, callbacks=[both])
    assert both.ended == 2


@pytest.mark.parametrize("stop", ["attribute", "exception"])
def test_training_is_stopped_by_the_attribute_or_the_exception(run, stop):
    class Stopper(Callback):
        def on_epoch_end(self, epoch, history):
            if epoch == 1:
                if stop == "exception":
                    raise StopTraining
                self.model.stop_training = True

    seen = []
    after = lambda epoch, history: seen.append(epoch)  # noqa: E731
    _, history = run(epochs=5, callbacks=[Stopper(), after])
    assert history.epochs == 2
    assert history.stopped_early
    assert seen == [0, 1]  # the callbacks behind still ran


def test_a_return_value_means_nothing(run):
    _, history = run(epochs=2, callbacks=[lambda epoch, history: True])
    assert history.epochs == 2


def test_a_model_that_was_stopped_once_trains_again(run):
    model, _ = run(epochs=1)
    assert model.stop_training is False


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (3, "is no callback"),
        (CSVLogger, "is a class; make an object"),
        (lambda a, b, c: None, "takes 3 arguments, and 2 are offered"),
    ],
)
def test_what_is_no_callback_is_a_type_error_up_front(run, callback, message):
    with pytest.raises(TypeError, match=message):
        run(callbacks=[callback])


def test_callbacks_that_are_no_list_are_a_type_error(run):
    with pytest.raises(TypeError, match="callbacks is a list"):
        run(callbacks=lambda epoch, history: None)


def test_model_checkpoint_saves_the_best_epochs(run, tmp_path):
    values = iter([3.0, 1.0, 2.0])

    def script(epoch, history):
        history["val_loss"][-1] = next(values)

    checkpoint = ModelCheckpoint(tmp_path / "deep" / "e{epoch}-{val_loss:.1f}.safetensors")
    model, _ = run(epochs=3, callbacks=[script, checkpoint])
    assert [file.name for file in checkpoint.saved] == ["e1-3.0.safetensors", "e2-1.0.safetensors"]
    assert sorted(tmp_path.rglob("*")) == sorted([tmp_path / "deep", *checkpoint.saved])
    assert safetensors_metadata(checkpoint.saved[1])["epoch"] == "2"
    saved = load_safetensors(checkpoint.saved[1])
    assert saved.keys() == model.state_dict().keys()
    twin, _ = run(epochs=2)
    for key, value in twin.state_dict().items():
        np.testing.assert_array_equal(saved[key].numpy(), value.numpy())


def test_model_checkpoint_saves_every_epoch_and_finds_mistakes_in_its_path(run, tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}.safetensors", save_best_only=False)
    run(epochs=3, callbacks=[checkpoint])
    assert len(checkpoint.saved) == 3
    with pytest.raises(ValueError, match=r"cannot be filled in.*\{epoch\}"):
        run(callbacks=[ModelCheckpoint(tmp_path / "{val_f1}.safetensors")])


def test_reduce_lr_on_plateau_lowers_every_group(run):
    values = iter([3.0, 2.0, 2.5, 2.6, 2.7, 2.8])

    def script(epoch, history):
        history["val_loss"][-1] = next(values)

    _, history = run(
        epochs=6, lr=1.0, callbacks=[script, ReduceLROnPlateau(factor=0.5, patience=2, min_lr=0.4)]
    )
    assert history["lr"] == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
    with pytest.raises(ValueError, match="factor"):
        ReduceLROnPlateau(factor=2.0)


def rows(file):
    return list(csv.DictReader(file.read_text().splitlines()))


def test_csv_logger_writes_a_line_an_epoch(run, tmp_path):
    file = tmp_path / "logs" / "history.csv"
    _, history = run(epochs=2, callbacks=[CSVLogger(file)])
    assert [row["epoch"] for row in rows(file)] == ["1", "2"]
    assert [float(row["val_loss"]) for row in rows(file)] == history["val_loss"]
    run(epochs=1, callbacks=[CSVLogger(file, append=True)])
    assert [row["epoch"] for row in rows(file)] == ["1", "2", "1"]
    run(epochs=1, callbacks=[CSVLogger(file)], val_data=None, val_labels=None)
    assert [row["val_loss"] for row in rows(file)] == [""]


def test_csv_logger_appends_to_a_file_of_the_same_columns_only(run, tmp_path):
    file = tmp_path / "history.csv"
    file.write_text("epoch,other\n")
    with pytest.raises(ValueError, match="has the columns epoch, other"):
        run(callbacks=[CSVLogger(file, append=True)])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_terminate_on_nan_stops_at_the_batch(run, blobs):
    data = blobs.train.copy()
    data[0, 0] = np.nan
    batches = []

    class Count(Callback):
        def on_train_batch_end(self, batch, logs):
            batches.append(logs["loss"])

    _, history = run(
        epochs=5, shuffle=False, train_data=data, callbacks=[TerminateOnNaN(), Count()]
    )
    assert len(batches) == 1
    assert math.isnan(batches[0])
    assert history.epochs == 1
    assert history.stopped_early


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_without_it_nan_trains_on_and_is_recorded(run, blobs):
    data = blobs.train.copy()
    data[0, 0] = np.nan
    _, history = run(epochs=2, train_data=data)
    assert all(math.isnan(loss) for loss in history["train_loss"])


def test_tensorboard_without_a_writer_is_a_clear_error(monkeypatch):
    for module in ("tensorboardX", "torch", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match="pip install tensorboardX"):
        TensorBoard()


def test_tensorboard_writes_what_each_epoch_measured(run, monkeypatch, tmp_path):
    written = []

    class SummaryWriter:
        def __init__(self, folder):
            self.folder = folder

        def add_scalar(self, key, value, step):
            written.append((key, value, step))

        def flush(self):
            pass

        def close(self):
            written.append("closed")

    fake = types.SimpleNamespace(SummaryWriter=SummaryWriter)
    monkeypatch.setitem(sys.modules, "tensorboardX", fake)
    _, history = run(epochs=2, callbacks=[TensorBoard(tmp_path)])
    assert ("val_loss", history["val_loss"][1], 2) in written
    assert written[-1] == "closed"
