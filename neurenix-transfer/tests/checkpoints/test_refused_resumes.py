"""A checkpoint of other data, another model or other options is refused, never resumed."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.data import DataLoader, Dataset
from neurenix.optim import SGD, Adam, OneCycleLR
from neurenix.transfer import (
    CheckpointMismatchError,
    EarlyStopping,
    TransferModel,
    fine_tune,
)

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
def test_a_changed_option_is_an_error_that_names_it(run, tmp_path, change, message, names):
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
