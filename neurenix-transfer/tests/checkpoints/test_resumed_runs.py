"""A resumed run is the one that would have run through, bit by bit."""

from __future__ import annotations

import pytest

import neurenix
from neurenix import nn
from neurenix.data import DataLoader, Dataset
from neurenix.data.transforms import RandomHorizontalFlip
from neurenix.optim import SGD, Adam, OneCycleLR, ReduceLROnPlateau, StepLR
from neurenix.transfer import (
    L2SP,
    Callback,
    CheckpointMismatchError,
    CSVLogger,
    ModelCheckpoint,
    Regularizer,
    TransferModel,
    fine_tune,
)
from neurenix.transfer import ReduceLROnPlateau as PlateauCallback
from neurenix_transfer.checkpoints.folder import read_checkpoint


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
def test_a_resumed_run_ends_bitwise_like_one_that_ran_through(interrupted, make_options, same):
    same(*interrupted(make_options))


@pytest.mark.parametrize("at", [0, 4])
def test_a_run_interrupted_in_its_first_or_last_epoch_ends_the_same(interrupted, at, same):
    same(*interrupted(at=at))


def test_features_may_be_cached_before_the_break_and_not_after_it(interrupted, same):
    same(*interrupted(lambda: {"cache": "off"}, cache="memory"))


def test_features_may_be_cached_after_the_break_and_not_before_it(interrupted, same):
    same(*interrupted(lambda: {"cache": "memory"}, cache="off"))


def test_a_checkpoint_names_the_frozen_part_whose_features_were_cached(run, tmp_path):
    run(checkpoint_dir=tmp_path, cache="memory")
    keys = read_checkpoint(tmp_path / "epoch-0003")["cache"]
    assert keys["train"] == keys["val"] != ""
    run(checkpoint_dir=tmp_path / "off", cache="off")
    assert read_checkpoint(tmp_path / "off" / "epoch-0003")["cache"] == {}


def test_a_finished_run_resumed_gives_its_result_again_and_trains_no_more(run, tmp_path, same):
    options = {"checkpoint_dir": tmp_path, "early_stopping": True, "lr": 0.5}
    first = run(**options)
    steps = []

    class Count:
        def on_train_batch_end(self, batch, logs):
            steps.append(batch)

    same(first, run(resume_from_checkpoint=True, callbacks=[Count()], **options))
    assert steps == []


def test_a_run_that_was_stopped_stays_stopped(run, tmp_path, same):
    def stop(epoch, history):
        if epoch == 1:
            from neurenix.transfer import StopTraining

            raise StopTraining

    first = run(epochs=5, checkpoint_dir=tmp_path, callbacks=[stop])
    resumed = run(epochs=5, checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    same(first, resumed)
    assert resumed[1].stopped_early
    assert resumed[1].epochs == 2


def test_more_epochs_may_be_asked_for(run, tmp_path, same):
    through = run(epochs=5)
    run(epochs=2, checkpoint_dir=tmp_path)
    same(through, run(epochs=5, checkpoint_dir=tmp_path, resume_from_checkpoint=True))


@pytest.mark.parametrize("make", [lambda o: StepLR(o, 2), lambda o: ReduceLROnPlateau(o)])
def test_a_schedule_by_epochs_goes_on(blobs, tmp_path, make, same, interrupt_in):
    def train(**options):
        neurenix.manual_seed(0)
        model = nn.Linear(4, 2)
        optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
        data = (blobs.train, blobs.train_labels)
        options = {"scheduler": make(optimizer), "epochs": 5, "verbose": 0, **options}
        return model, fine_tune(model, optimizer, *data, **options)

    through = train()
    with pytest.raises(RuntimeError, match="interrupted"):
        train(checkpoint_dir=tmp_path, callbacks=[interrupt_in(3)])
    same(through, train(checkpoint_dir=tmp_path, resume_from_checkpoint=True))


def test_layers_unfrozen_and_groups_added_in_training_are_so_again(
    blobs, tmp_path, same, interrupt_in
):
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
    with pytest.raises(RuntimeError, match="interrupted"):
        train(interrupt_in(3), checkpoint_dir=tmp_path)
    resumed = train(checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    same(through, resumed)
    assert resumed[0].get_base_model()[0].weight.requires_grad


def test_the_state_of_the_default_generator_goes_on(run, tmp_path, interrupt_in):
    draws = []

    def draw(epoch, history):
        draws.append(neurenix.rand(()).item())

    run(epochs=4, callbacks=[draw])
    through, draws[:] = draws[:], []
    with pytest.raises(RuntimeError, match="interrupted"):
        run(epochs=4, callbacks=[draw, interrupt_in(2)], checkpoint_dir=tmp_path)
    del draws[2:]
    run(epochs=4, callbacks=[draw], checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    assert draws == through


def test_random_transforms_of_a_loader_go_on(photos, tmp_path, same, interrupt_in):
    def train(**options):
        neurenix.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(108, 2))
        data = Dataset(list(map(neurenix.Tensor, photos)), [0, 1] * 4, RandomHorizontalFlip())
        loader = DataLoader(data, batch_size=3, shuffle=True)
        optimizer = SGD(model.parameters(), lr=0.1)
        return model, fine_tune(model, optimizer, loader, epochs=4, verbose=0, **options)

    through = train()
    with pytest.raises(RuntimeError, match="interrupted"):
        train(checkpoint_dir=tmp_path, callbacks=[interrupt_in(2)])
    same(through, train(checkpoint_dir=tmp_path, resume_from_checkpoint=True))


def test_a_callback_of_ones_own_is_resumed_by_its_state(run, tmp_path, interrupt_in):
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

    with pytest.raises(RuntimeError, match="interrupted"):
        run(epochs=4, callbacks=[Counter(), interrupt_in(2)], checkpoint_dir=tmp_path)
    counter = Counter()
    seen = []

    def look(epoch, history):
        seen.append((counter.epochs_seen, counter.best is not None))

    options = {"checkpoint_dir": tmp_path, "resume_from_checkpoint": True}
    run(epochs=4, callbacks=[look, counter], **options)
    assert seen == [(2, True), (3, True)]
    assert counter.epochs_seen == 4


def test_the_start_of_l2_sp_comes_from_the_checkpoint(run, tmp_path, same, interrupt_in):
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
    with pytest.raises(RuntimeError, match="interrupted"):
        run(callbacks=[interrupt_in(2)], regularizer=Start(), **options)
    same(through, run(regularizer=Start(), resume_from_checkpoint=True, **options))


def test_the_csv_file_has_each_epoch_once(run, tmp_path, interrupt_in):
    log = tmp_path / "log.csv"
    options = {"epochs": 4, "checkpoint_dir": tmp_path / "run"}
    with pytest.raises(RuntimeError, match="interrupted"):
        run(callbacks=[CSVLogger(log), interrupt_in(2)], **options)
    assert len(log.read_text().splitlines()) == 4  # the third epoch is there, and will be again
    _, history = run(callbacks=[CSVLogger(log)], resume_from_checkpoint=True, **options)
    header, *lines = log.read_text().splitlines()
    assert header.startswith("epoch,train_loss")
    assert [int(line.split(",")[0]) for line in lines] == [1, 2, 3, 4]
    assert [float(line.split(",")[1]) for line in lines] == history["train_loss"]


def test_a_log_that_is_gone_is_an_error(run, tmp_path, interrupt_in):
    log = tmp_path / "log.csv"
    options = {"epochs": 4, "checkpoint_dir": tmp_path / "run"}
    with pytest.raises(RuntimeError, match="interrupted"):
        run(callbacks=[CSVLogger(log), interrupt_in(2)], **options)
    log.unlink()
    with pytest.raises(CheckpointMismatchError, match="put it back"):
        run(callbacks=[CSVLogger(log)], resume_from_checkpoint=True, **options)


def test_model_checkpoint_remembers_its_best_and_its_files(run, tmp_path, interrupt_in):
    def make():
        return ModelCheckpoint(tmp_path / "best-{epoch}.safetensors")

    whole = make()
    run(epochs=5, callbacks=[whole], lr=0.4)
    options = {"epochs": 5, "checkpoint_dir": tmp_path / "run", "lr": 0.4}
    with pytest.raises(RuntimeError, match="interrupted"):
        run(callbacks=[make(), interrupt_in(3)], **options)
    resumed = make()
    run(callbacks=[resumed], resume_from_checkpoint=True, **options)
    assert resumed.saved == whole.saved
    assert resumed.monitor.best == whole.monitor.best
