"""Checkpoints: what they hold, what they refuse, and what a damaged one leads to."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.data import DataLoader, Dataset
from neurenix.data.transforms import RandomHorizontalFlip
from neurenix.optim import SGD, Adam, OneCycleLR, ReduceLROnPlateau, StepLR
from neurenix.transfer import (
    L2SP,
    Callback,
    CheckpointDamagedError,
    CheckpointError,
    CheckpointMismatchError,
    CSVLogger,
    EarlyStopping,
    ModelCheckpoint,
    Regularizer,
    TransferModel,
    fine_tune,
)
from neurenix.transfer import ReduceLROnPlateau as PlateauCallback
from neurenix_transfer.checkpoints.folder import CheckpointFolder, read_checkpoint
from neurenix_transfer.checkpoints.packing import pack, unpack


class Interrupted(Exception):
    """What ends a run in the middle here."""


def interrupt_in(epoch):
    def interrupt(at, history):
        if at == epoch:
            raise Interrupted

    return interrupt


def same(first, second):
    (model, history), (other, again) = first, second
    for key in history:
        if key != "epoch_time":
            assert history[key] == again[key], key
    assert history.best_epoch == again.best_epoch
    assert history.stopped_early == again.stopped_early
    tensors = zip(model.state_dict().items(), other.state_dict().items(), strict=True)
    for (name, a), (_, b) in tensors:
        np.testing.assert_array_equal(a.numpy(), b.numpy(), name)


@pytest.fixture
def interrupted(run, tmp_path):
    """Run through, run until an epoch, resume; with the same options, made anew each time."""

    def interrupted(make_options=dict, at=2, epochs=5, **changes):
        through = run(epochs=epochs, **make_options())
        options = make_options()
        callbacks = [*options.pop("callbacks", []), interrupt_in(at)]
        folder = {"checkpoint_dir": tmp_path / "run"}
        with pytest.raises(Interrupted):
            run(epochs=epochs, callbacks=callbacks, **folder, **options)
        options = {"resume_from_checkpoint": True, **folder, **make_options(), **changes}
        resumed = run(**{"epochs": epochs, **options})
        return through, resumed

    return interrupted


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir() if not path.name.startswith("."))


# What a resumed run is


@pytest.mark.parametrize(
    "make_options",
    [
        dict,
        lambda: {"early_stopping": True, "patience": 1, "lr": 0.5},
        lambda: {"restore_best": True, "lr": 0.5},
        lambda: {"ema": 0.8, "mixup": 0.2, "clip_norm": 0.1},
        lambda: {"callbacks": [PlateauCallback(patience=1, factor=0.5)], "lr": 1.0},
        lambda: {"scheduler": lambda optimizer, steps: OneCycleLR(optimizer, 0.1, steps)},
        lambda: {"class_weight": {1: 2.0}, "metrics": ["f1"]},
        lambda: {"clip_value": 0.01, "label_smoothing": 0.1},
        lambda: {"regularizer": L2SP(alpha=0.5, pretrained=["re:.*"]), "batch_size": 7},
    ],
    ids=[
        "plain",
        "early_stopping",
        "best",
        "ema_mixup",
        "plateau",
        "one_cycle",
        "weights",
        "clip_smooth",
        "l2_sp",
    ],
)
def test_a_resumed_run_ends_bitwise_like_one_that_ran_through(interrupted, make_options):
    same(*interrupted(make_options))


@pytest.mark.parametrize("at", [0, 4])
def test_a_run_interrupted_in_its_first_or_last_epoch_ends_the_same(interrupted, at):
    same(*interrupted(at=at))


def test_features_may_be_cached_before_the_break_and_not_after_it(interrupted):
    same(*interrupted(lambda: {"cache": "off"}, cache="memory"))


def test_features_may_be_cached_after_the_break_and_not_before_it(interrupted):
    same(*interrupted(lambda: {"cache": "memory"}, cache="off"))


def test_a_checkpoint_names_the_frozen_part_whose_features_were_cached(run, tmp_path):
    run(checkpoint_dir=tmp_path, cache="memory")
    keys = read_checkpoint(tmp_path / "epoch-0003")["cache"]
    assert keys["train"] == keys["val"] != ""
    run(checkpoint_dir=tmp_path / "off", cache="off")
    assert read_checkpoint(tmp_path / "off" / "epoch-0003")["cache"] == {}


def test_a_finished_run_resumed_gives_its_result_again_and_trains_no_more(run, tmp_path):
    options = {"checkpoint_dir": tmp_path, "early_stopping": True, "lr": 0.5}
    first = run(**options)
    steps = []

    class Count:
        def on_train_batch_end(self, batch, logs):
            steps.append(batch)

    same(first, run(resume_from_checkpoint=True, callbacks=[Count()], **options))
    assert steps == []


def test_a_run_that_was_stopped_stays_stopped(run, tmp_path):
    def stop(epoch, history):
        if epoch == 1:
            from neurenix.transfer import StopTraining

            raise StopTraining

    first = run(epochs=5, checkpoint_dir=tmp_path, callbacks=[stop])
    resumed = run(epochs=5, checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    same(first, resumed)
    assert resumed[1].stopped_early
    assert resumed[1].epochs == 2


def test_more_epochs_may_be_asked_for(run, tmp_path):
    through = run(epochs=5)
    run(epochs=2, checkpoint_dir=tmp_path)
    same(through, run(epochs=5, checkpoint_dir=tmp_path, resume_from_checkpoint=True))


@pytest.mark.parametrize("make", [lambda o: StepLR(o, 2), lambda o: ReduceLROnPlateau(o)])
def test_a_schedule_by_epochs_goes_on(blobs, tmp_path, make):
    def train(**options):
        neurenix.manual_seed(0)
        model = nn.Linear(4, 2)
        optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
        data = (blobs.train, blobs.train_labels)
        options = {"scheduler": make(optimizer), "epochs": 5, "verbose": 0, **options}
        return model, fine_tune(model, optimizer, *data, **options)

    through = train()
    with pytest.raises(Interrupted):
        train(checkpoint_dir=tmp_path, callbacks=[interrupt_in(3)])
    same(through, train(checkpoint_dir=tmp_path, resume_from_checkpoint=True))


def test_layers_unfrozen_and_groups_added_in_training_are_so_again(blobs, tmp_path):
    def train(*more, **options):
        neurenix.manual_seed(0)
        base = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 5))
        model = TransferModel(base, nn.Linear(8, 2))
        optimizer = Adam(model.get_new_layers().parameters(), lr=0.01)

        def thaw(epoch, history):
            if epoch == 1:
                model.unfreeze_layers(["0", "1"])
                params = [p for p in base.parameters() if p.requires_grad]
                optimizer.add_param_group({"params": params, "lr": 0.001})

        data = (blobs.train, blobs.train_labels)
        options = {"epochs": 5, "verbose": 0, "callbacks": [thaw, *more], **options}
        return model, fine_tune(model, optimizer, *data, **options)

    through = train()
    with pytest.raises(Interrupted):
        train(interrupt_in(3), checkpoint_dir=tmp_path)
    resumed = train(checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    same(through, resumed)
    assert resumed[0].get_base_model()[0].weight.requires_grad


def test_the_state_of_the_default_generator_goes_on(run, tmp_path):
    draws = []

    def draw(epoch, history):
        draws.append(neurenix.rand(()).item())

    run(epochs=4, callbacks=[draw])
    through, draws[:] = draws[:], []
    with pytest.raises(Interrupted):
        run(epochs=4, callbacks=[draw, interrupt_in(2)], checkpoint_dir=tmp_path)
    del draws[2:]
    run(epochs=4, callbacks=[draw], checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert draws == through


def test_random_transforms_of_a_loader_go_on(photos, tmp_path):
    def train(**options):
        neurenix.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(108, 2))
        data = Dataset(list(map(neurenix.Tensor, photos)), [0, 1] * 4, RandomHorizontalFlip())
        loader = DataLoader(data, batch_size=3, shuffle=True)
        optimizer = SGD(model.parameters(), lr=0.1)
        return model, fine_tune(model, optimizer, loader, epochs=4, verbose=0, **options)

    through = train()
    with pytest.raises(Interrupted):
        train(checkpoint_dir=tmp_path, callbacks=[interrupt_in(2)])
    same(through, train(checkpoint_dir=tmp_path, resume_from_checkpoint=True))


def test_a_callback_of_ones_own_is_resumed_by_its_state(run, tmp_path):
    class Counter(Callback):
        def __init__(self):
            self.epochs_seen, self.best = 0, None

        def on_epoch_end(self, epoch, history):
            self.epochs_seen += 1
            self.best = self.model.new_layers[1].bias.detach().clone()

        def state_dict(self):
            return {"epochs": self.epochs_seen, "best": self.best}

        def load_state_dict(self, state):
            self.epochs_seen, self.best = state["epochs"], state["best"]

    with pytest.raises(Interrupted):
        run(epochs=4, callbacks=[Counter(), interrupt_in(2)], checkpoint_dir=tmp_path)
    counter = Counter()
    seen = []

    def look(epoch, history):
        seen.append((counter.epochs_seen, counter.best is not None))

    options = {"checkpoint_dir": tmp_path, "resume_from_checkpoint": True}
    run(epochs=4, callbacks=[look, counter], **options)
    assert seen == [(2, True), (3, True)]
    assert counter.epochs_seen == 4


def test_the_start_of_l2_sp_comes_from_the_checkpoint(run, tmp_path):
    class Start(Regularizer):
        def __init__(self):
            self.start = None

        def on_train_begin(self, model):
            self.start = None

        def penalty(self, model):
            weight = model.new_layers[1].weight
            if self.start is None:
                self.start = weight.detach().clone()
            return ((weight - self.start) ** 2).sum()

        def state_dict(self):
            return {"start": self.start}

        def load_state_dict(self, state):
            self.start = state["start"]

    through = run(epochs=4, regularizer=Start())
    options = {"epochs": 4, "checkpoint_dir": tmp_path}
    with pytest.raises(Interrupted):
        run(callbacks=[interrupt_in(2)], regularizer=Start(), **options)
    same(through, run(regularizer=Start(), resume_from_checkpoint=True, **options))


def test_the_csv_file_has_each_epoch_once(run, tmp_path):
    log = tmp_path / "log.csv"
    options = {"epochs": 4, "checkpoint_dir": tmp_path / "run"}
    with pytest.raises(Interrupted):
        run(callbacks=[CSVLogger(log), interrupt_in(2)], **options)
    assert len(log.read_text().splitlines()) == 4  # the third epoch is there, and will be again
    _, history = run(callbacks=[CSVLogger(log)], resume_from_checkpoint=True, **options)
    header, *lines = log.read_text().splitlines()
    assert header.startswith("epoch,train_loss")
    assert [int(line.split(",")[0]) for line in lines] == [1, 2, 3, 4]
    assert [float(line.split(",")[1]) for line in lines] == history["train_loss"]


def test_a_log_that_is_gone_is_an_error(run, tmp_path):
    log = tmp_path / "log.csv"
    options = {"epochs": 4, "checkpoint_dir": tmp_path / "run"}
    with pytest.raises(Interrupted):
        run(callbacks=[CSVLogger(log), interrupt_in(2)], **options)
    log.unlink()
    with pytest.raises(CheckpointMismatchError, match="put it back"):
        run(callbacks=[CSVLogger(log)], resume_from_checkpoint=True, **options)


def test_model_checkpoint_remembers_its_best_and_its_files(run, tmp_path):
    def make():
        return ModelCheckpoint(tmp_path / "best-{epoch}.safetensors")

    whole = make()
    run(epochs=5, callbacks=[whole], lr=0.4)
    options = {"epochs": 5, "checkpoint_dir": tmp_path / "run", "lr": 0.4}
    with pytest.raises(Interrupted):
        run(callbacks=[make(), interrupt_in(3)], **options)
    resumed = make()
    run(callbacks=[resumed], resume_from_checkpoint=True, **options)
    assert resumed.saved == whole.saved
    assert resumed.monitor.best == whole.monitor.best


# Where a run resumes from


def test_resuming_from_a_folder_without_a_checkpoint_starts_afresh_and_says_so(
    run, tmp_path, capsys
):
    through = run()
    folder = tmp_path / "new"
    resumed = run(verbose=1, checkpoint_dir=folder, resume_from_checkpoint=True)
    same(through, resumed)
    assert f"No checkpoint in {folder}: the training starts afresh" in capsys.readouterr().out
    run(verbose=1, checkpoint_dir=folder, resume_from_checkpoint=True, epochs=4)
    place = folder / "epoch-0003"
    assert f"Resumed from {place}, after epoch 3 of 4" in capsys.readouterr().out


def test_a_path_may_name_a_checkpoint_or_a_folder_of_them(run, tmp_path):
    through = run(epochs=5)
    folder = tmp_path / "run"
    run(epochs=4, checkpoint_dir=folder, save_total_limit=None)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    same(through, run(epochs=5, resume_from_checkpoint=copy))
    assert names(copy) == [f"epoch-000{number}" for number in (1, 2, 3, 4)]  # only read
    same(through, run(epochs=5, resume_from_checkpoint=str(copy / "epoch-0002")))


def test_going_back_to_an_older_checkpoint_removes_the_newer_ones(run, tmp_path):
    through = run(epochs=4)
    run(epochs=4, checkpoint_dir=tmp_path, save_total_limit=None)
    options = {"checkpoint_dir": tmp_path, "resume_from_checkpoint": tmp_path / "epoch-0001"}
    with pytest.raises(Interrupted):
        run(epochs=4, callbacks=[interrupt_in(2)], **options)
    assert names(tmp_path) == ["epoch-0001", "epoch-0002"]
    same(through, run(epochs=4, checkpoint_dir=tmp_path, resume_from_checkpoint=True))


def test_a_path_that_does_not_exist_is_an_error(run, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing to resume from"):
        run(resume_from_checkpoint=tmp_path / "typo")
    with pytest.raises(ValueError, match="checkpoint_dir, which is not given"):
        run(resume_from_checkpoint=True)


def test_a_folder_with_checkpoints_is_not_written_over(run, tmp_path):
    run(checkpoint_dir=tmp_path)
    with pytest.raises(CheckpointError, match="resume_from_checkpoint=True"):
        run(checkpoint_dir=tmp_path)


@pytest.mark.parametrize("limit", [1, 2, None])
def test_save_total_limit_keeps_the_newest_and_the_best(run, tmp_path, limit):
    _, history = run(epochs=6, lr=1.0, checkpoint_dir=tmp_path, save_total_limit=limit)
    newest = range(1, 7) if limit is None else range(7 - limit, 7)
    kept = {*newest, history.best_epoch + 1}
    assert names(tmp_path) == [f"epoch-{number:04d}" for number in sorted(kept)]
    assert history.best_epoch < 4  # so that the best is another one


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
def test_the_limit_is_a_whole_number_of_at_least_1(run, tmp_path, limit):
    with pytest.raises((ValueError, TypeError), match="save_total_limit"):
        run(checkpoint_dir=tmp_path, save_total_limit=limit)


# What is refused


CHANGES = {
    "seed": ({"seed": 1}, "seed: 0 in the checkpoint, 1 now"),
    "batch_size": ({"batch_size": 4}, "batch_size: 8 in the checkpoint, 4 now"),
    "shuffle": ({"shuffle": False}, "shuffle"),
    "lr": ({"lr": 0.5}, r"lr: 0.02 in the checkpoint, 0.5 now"),
    "scheduler": ({"scheduler": lambda o, steps: OneCycleLR(o, 0.1, steps)}, "scheduler"),
    "clip_norm": ({"clip_norm": 1.0}, "clip_norm: None in the checkpoint, 1.0 now"),
    "ema": ({"ema": 0.9}, "ema"),
    "mixup": ({"mixup": 0.9}, "mixup"),
    "metrics": ({"metrics": ["f1"]}, "metrics"),
    "class_weight": ({"class_weight": {0: 2.0}}, "class_weight"),
    "label_smoothing": ({"label_smoothing": 0.1}, "label_smoothing"),
    "regularizer": ({"regularizer": lambda model: model.new_layers[1].bias.sum()}, "regularizer"),
    "early_stopping": ({"early_stopping": True}, "callbacks"),
    "loss_fn": ({"loss_fn": nn.CrossEntropyLoss()}, "loss"),
    "epochs": ({"epochs": 2}, "3 are done, and 2 were asked for"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_changed_option_is_an_error_that_names_it(run, tmp_path, change, message):
    run(checkpoint_dir=tmp_path)
    before = names(tmp_path)
    with pytest.raises(CheckpointMismatchError, match=message):
        run(**{"epochs": 4, "checkpoint_dir": tmp_path, "resume_from_checkpoint": True} | change)
    assert names(tmp_path) == before
    run(epochs=4, checkpoint_dir=tmp_path, resume_from_checkpoint=True)  # and the lock is free


def test_a_changed_dataset_is_an_error(run, blobs, tmp_path):
    folder = {"checkpoint_dir": tmp_path}
    run(**folder)
    folder["resume_from_checkpoint"] = True
    changed = blobs.train.copy()
    changed[7, 2] += 1e-3
    with pytest.raises(CheckpointMismatchError, match="training data are not those"):
        run(train_data=changed, epochs=4, **folder)
    labels = blobs.train_labels.copy()
    labels[3] = 1 - labels[3]
    with pytest.raises(CheckpointMismatchError, match="other labels"):
        run(train_labels=labels, epochs=4, **folder)
    with pytest.raises(CheckpointMismatchError, match="30 samples then, 29 now"):
        run(train_data=blobs.train[:29], train_labels=blobs.train_labels[:29], **folder)
    with pytest.raises(CheckpointMismatchError, match="validation data are not those"):
        run(val_data=blobs.val + 1, epochs=4, **folder)
    with pytest.raises(CheckpointMismatchError, match="there are none now"):
        run(val_data=None, val_labels=None, epochs=4, **folder)


def test_a_changed_loader_is_an_error(photos, tmp_path):
    def train(photos, batch_size=3, **options):
        neurenix.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(108, 2))
        data = Dataset(list(map(neurenix.Tensor, photos)), [0, 1] * 4)
        loader = DataLoader(data, batch_size=batch_size, shuffle=True)
        optimizer = SGD(model.parameters(), lr=0.1)
        options |= {"checkpoint_dir": tmp_path, "verbose": 0}
        return fine_tune(model, optimizer, loader, **options)

    train(photos, epochs=1)
    again = {"epochs": 2, "resume_from_checkpoint": True}
    with pytest.raises(CheckpointMismatchError, match="other inputs"):
        train(photos + 1, **again)
    with pytest.raises(CheckpointMismatchError, match="other batches"):
        train(photos, batch_size=4, **again)
    assert train(photos, **again).epochs == 2


def test_photos_are_told_apart_by_their_files(tmp_path):
    image = pytest.importorskip("PIL.Image")
    from neurenix.data import ImageFolder
    from neurenix.data.transforms import ToTensor

    rng = np.random.default_rng(0)
    for name in ("ants", "bees"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
            image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")

    def train(**options):
        neurenix.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(108, 2))
        photos = ImageFolder(tmp_path / "photos", transform=ToTensor())
        options |= {"checkpoint_dir": tmp_path / "run", "verbose": 0}
        return fine_tune(model, SGD(model.parameters(), lr=0.1), photos, **options)

    train(epochs=1)
    assert train(epochs=2, resume_from_checkpoint=True).epochs == 2
    pixels = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
    image.fromarray(pixels).save(tmp_path / "photos" / "bees" / "1.png")
    with pytest.raises(CheckpointMismatchError, match="other inputs"):
        train(epochs=3, resume_from_checkpoint=True)


def test_data_that_differ_at_each_reading_are_resumed_with_a_warning(tmp_path):
    random = np.random.default_rng()

    class Noisy:
        def __len__(self):
            return 6

        def __getitem__(self, index):
            return neurenix.Tensor(random.normal(size=4).astype(np.float32)), index % 2

    def train(**options):
        neurenix.manual_seed(0)
        model = nn.Linear(4, 2)
        options |= {"checkpoint_dir": tmp_path, "verbose": 0}
        return fine_tune(model, SGD(model.parameters(), lr=0.1), Noisy(), **options)

    train(epochs=1)
    with pytest.warns(UserWarning, match="other samples each time"):
        assert train(epochs=2, resume_from_checkpoint=True).epochs == 2


def test_batches_without_set_epoch_are_warned_of(blobs, tmp_path):
    batches = [(blobs.train[:8], blobs.train_labels[:8])]

    class Batches:
        def __iter__(self):
            return iter(batches)

    model = nn.Linear(4, 2)
    with pytest.warns(UserWarning, match=r"no set_epoch\(epoch\)"):
        fine_tune(
            model,
            SGD(model.parameters(), lr=0.1),
            Batches(),
            epochs=1,
            verbose=0,
            checkpoint_dir=tmp_path,
        )


def train_model(model, blobs, folder, **options):
    data = (blobs.train, blobs.train_labels)
    params = [param for param in model.parameters() if param.requires_grad]
    optimizer = options.pop("optimizer", None) or SGD(params, lr=0.1)
    options = {"epochs": 1, "verbose": 0, "checkpoint_dir": folder, **options}
    return fine_tune(model, optimizer, *data, **options)


def make_model(width=8, seed=0, frozen=True):
    neurenix.manual_seed(seed)
    base = nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 5))
    return TransferModel(base, nn.Linear(width, 2), freeze_base=frozen)


def test_a_changed_model_is_an_error(blobs, tmp_path):
    train_model(make_model(), blobs, tmp_path)
    again = {"epochs": 2, "resume_from_checkpoint": True}
    with pytest.raises(CheckpointMismatchError, match=r"weight: 'float32 \(8, 4\)' in the check"):
        train_model(make_model(width=6), blobs, tmp_path, **again)
    with pytest.raises(CheckpointMismatchError, match="frozen weights are not those"):
        train_model(make_model(seed=1), blobs, tmp_path, **again)
    with pytest.raises(CheckpointMismatchError, match="trainable"):
        train_model(make_model(frozen=False), blobs, tmp_path, **again)
    model = make_model()
    optimizer = Adam(model.get_new_layers().parameters(), lr=0.1)
    with pytest.raises(CheckpointMismatchError, match="class: 'SGD' in the checkpoint, 'Adam'"):
        train_model(model, blobs, tmp_path, optimizer=optimizer, **again)
    assert train_model(make_model(), blobs, tmp_path, **again).epochs == 2


def test_a_refused_resume_changes_nothing(blobs, tmp_path):
    train_model(make_model(), blobs, tmp_path)
    model = make_model(seed=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(CheckpointMismatchError):
        train_model(model, blobs, tmp_path, epochs=2, resume_from_checkpoint=True)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())


def test_a_callback_with_other_options_is_an_error(run, tmp_path):
    run(checkpoint_dir=tmp_path, callbacks=[EarlyStopping("val_loss", patience=9)])
    options = {"epochs": 4, "checkpoint_dir": tmp_path, "resume_from_checkpoint": True}
    with pytest.raises(CheckpointMismatchError, match="quantity='val_accuracy'"):
        run(callbacks=[EarlyStopping("val_accuracy", patience=9)], **options)
    run(callbacks=[EarlyStopping("val_loss", patience=3)], **options)  # patience is no state


def test_what_cannot_be_saved_is_an_error_at_the_start(run, tmp_path):
    class Halving:
        def step(self):
            pass

    with pytest.raises(TypeError, match=r"no state_dict\(\) and load_state_dict\(\)"):
        run(checkpoint_dir=tmp_path, scheduler=Halving())


# What goes wrong with files


def test_a_truncated_checkpoint_leads_to_an_older_one(run, tmp_path):
    through = run(epochs=5)
    for name in ("tensors.safetensors", "state.json"):
        folder = tmp_path / name
        run(epochs=3, checkpoint_dir=folder)
        file = folder / "epoch-0003" / name
        file.write_bytes(file.read_bytes()[:-20])
        with pytest.warns(UserWarning, match=r"epoch-0003 is damaged.*epoch-0002 is taken"):
            resumed = run(epochs=5, checkpoint_dir=folder, resume_from_checkpoint=True)
        same(through, resumed)
        assert names(folder)[-1] == "epoch-0005"


def test_bytes_that_changed_on_the_disk_are_found_out(run, tmp_path):
    run(epochs=2, checkpoint_dir=tmp_path)
    file = tmp_path / "epoch-0002" / "tensors.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointDamagedError, match="has changed since it was written"):
        read_checkpoint(tmp_path / "epoch-0002")


def test_without_any_whole_checkpoint_the_run_starts_afresh_and_warns(run, tmp_path):
    through = run()
    run(checkpoint_dir=tmp_path)
    for path in tmp_path.glob("epoch-*/state.json"):
        path.unlink()
    with pytest.warns(UserWarning, match=r"no checkpoint .* starts afresh"):
        resumed = run(checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    same(through, resumed)


def test_a_damaged_checkpoint_that_was_named_is_an_error(run, tmp_path):
    run(checkpoint_dir=tmp_path)
    (tmp_path / "epoch-0003" / "tensors.safetensors").unlink()
    with pytest.raises(CheckpointDamagedError, match="epoch-0003"):
        run(epochs=4, resume_from_checkpoint=tmp_path / "epoch-0003")


def test_a_newer_format_is_an_error(run, tmp_path):
    run(checkpoint_dir=tmp_path)
    for path in tmp_path.glob("epoch-*/state.json"):
        path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(CheckpointError, match="the version that wrote it"):
        run(checkpoint_dir=tmp_path, resume_from_checkpoint=True)


@pytest.mark.parametrize("at", ["write", "fsync", "rename"])
def test_a_full_disk_is_a_clear_error_and_leaves_the_older_checkpoints(
    run, tmp_path, monkeypatch, at
):
    through = run(epochs=4)

    def fill(epoch, history):
        if epoch != 2:
            return

        def full(*args, **options):
            raise OSError(errno.ENOSPC, "No space left on device")

        name = "neurenix_transfer.checkpoints.folder."
        if at == "write":
            monkeypatch.setattr(name + "save_safetensors", full)
        else:
            monkeypatch.setattr(os, at, full)

    with pytest.raises(CheckpointError, match=r"No space left on device.*resumed") as raised:
        run(epochs=4, checkpoint_dir=tmp_path, callbacks=[fill])
    monkeypatch.undo()
    assert raised.value.history.epochs == 3
    assert sorted(each.name for each in tmp_path.iterdir()) == [".lock", "epoch-0001", "epoch-0002"]
    same(through, run(epochs=4, checkpoint_dir=tmp_path, resume_from_checkpoint=True))


def test_a_disk_that_fills_up_in_the_middle_of_a_file_leaves_no_half_of_it(tmp_path):
    script = textwrap.dedent(
        f"""
        import resource, signal
        import numpy as np
        from neurenix import nn
        from neurenix.optim import Adam
        from neurenix.transfer import fine_tune
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        def fill(epoch):
            if epoch == 1:
                resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        model = nn.Linear(600, 2)
        x, y = np.ones((4, 600), np.float32), [0, 1, 0, 1]
        fine_tune(model, Adam(model.parameters()), x, y, epochs=3, verbose=0,
                  checkpoint_dir={str(tmp_path)!r}, callbacks=[fill])
        """
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert "CheckpointError" in done.stderr
    assert "File too large" in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == [".lock", "epoch-0001"]
    read_checkpoint(tmp_path / "epoch-0001")


def test_a_folder_that_cannot_be_written_is_an_error_before_the_first_step(
    run, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written to"):
        run(checkpoint_dir=tmp_path / "file" / "run")
    folder = tmp_path / "readonly"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):  # the superuser may write anywhere
        monkeypatch.setattr("builtins.open", _denied(open, folder))
    with pytest.raises(CheckpointError, match="Permission denied"):
        run(checkpoint_dir=folder)


def _denied(original, folder):
    def opened(path, mode="r", *args, **options):
        if str(path).startswith(str(folder)) and "a" in mode:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return original(path, mode, *args, **options)

    return opened


def test_two_runs_cannot_hold_one_folder(run, tmp_path):
    folder = CheckpointFolder(tmp_path)
    with pytest.raises(CheckpointError, match="another run is writing"):
        run(checkpoint_dir=tmp_path)
    folder.close()
    run(checkpoint_dir=tmp_path)


def test_what_a_killed_run_left_is_cleared_away(run, tmp_path):
    (tmp_path / ".unfinished-abc").mkdir()
    (tmp_path / ".unfinished-abc" / "tensors.safetensors").write_bytes(b"half")
    run(checkpoint_dir=tmp_path)
    assert not (tmp_path / ".unfinished-abc").exists()


# Packing


def test_values_come_back_as_they_were():
    value = {
        "none": None,
        "flags": [True, False],
        "numbers": (1, 2.5, -0.0, float("inf"), 5e-324, 0.1 + 0.2),
        "nan": float("nan"),
        "text": "é",
        "tensors": {"a": neurenix.ones((2, 3), dtype=neurenix.bfloat16), "b": neurenix.full((), 7)},
        "keys": {1: "one", (2, 3): [4]},
        "$odd": {"$tensor": "no tensor"},
        "scalar": np.float32(0.1),
        "array": np.arange(3),
    }
    tensors = {}
    import json

    back = unpack(json.loads(json.dumps(pack(value, tensors))), tensors)
    for key in ("none", "flags", "numbers", "text", "keys", "$odd"):
        assert back[key] == value[key], key
        assert type(back[key]) is type(value[key])
    assert np.isnan(back["nan"])
    assert np.signbit(back["numbers"][2])
    assert back["tensors"]["a"].dtype == neurenix.bfloat16
    assert back["tensors"]["b"].item() == 7
    assert back["scalar"] == np.float32(0.1)
    np.testing.assert_array_equal(back["array"].numpy(), value["array"])


def test_what_cannot_be_packed_is_named():
    with pytest.raises(TypeError, match=r"callbacks/0/file: it is a (Posix|Windows)Path"):
        pack({"callbacks": [{"file": Path("x")}]}, {})
