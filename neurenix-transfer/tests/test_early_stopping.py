"""When training stops, and which weights it leaves."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.optim import SGD
from neurenix.transfer import (
    BestWeights,
    EarlyStopping,
    History,
    StopTraining,
    TransferModel,
    fine_tune,
)

X = np.ones((4, 3), np.float32)
Y = [0.5, 1.5, 0.5, 1.5]


class Counter(nn.Module):
    """A model whose weight counts the epochs, and whose buffers see every training batch."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(neurenix.zeros((1,)))
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x):
        self.norm(x + self.weight)
        return (x.mean(axis=1) + self.weight).reshape((-1, 1))

    @property
    def epoch(self):
        """The epoch whose weights these are."""
        return int(self.weight.item()) - 1


def tune(losses, *, val=True, callbacks=(), **options):
    """Train a model for which epoch n has the watched loss ``losses[n]``."""
    model = Counter()

    class Count:
        def on_epoch_begin(self, epoch):
            with neurenix.no_grad():
                model.weight.fill_(epoch + 1.0)  # what training would do

    def loss_fn(outputs, labels):
        watched = not model.training if val else model.training
        return outputs.mean() * 0.0 + losses[model.epoch] if watched else outputs.mean()

    try:
        history = fine_tune(
            model,
            SGD(model.parameters(), lr=0.0),
            *((X, Y, X, Y) if val else (X, Y)),
            epochs=len(losses),
            loss_fn=loss_fn,
            callbacks=[Count(), *callbacks],
            verbose=0,
            **options,
        )
    except KeyboardInterrupt as interrupt:
        history = interrupt.history
    return model, history


def test_it_stops_after_patience_epochs_without_improvement():
    _, history = tune([3, 2, 2, 2.5, 1, 0], early_stopping=True, patience=2)
    assert history["val_loss"] == [3, 2, 2, 2.5]
    assert history.stopped_early
    assert history.best_epoch == 1


def test_an_improvement_in_between_starts_the_count_anew():
    _, history = tune([3, 4, 2, 4, 1, 4, 4], early_stopping=True, patience=2)
    assert len(history["val_loss"]) == 7
    assert history.best_epoch == 4
    assert not history.stopped_early  # all epochs were run


def test_nan_never_improves():
    nan = float("nan")
    model, history = tune([nan, 3, nan, nan, 1], early_stopping=True, patience=2)
    assert len(history["val_loss"]) == 4
    assert history.best_epoch == model.epoch == 1
    _, history = tune([nan, nan, nan], early_stopping=True, patience=2)
    assert len(history["val_loss"]) == 2
    assert history.best_epoch is None


def test_the_best_weights_and_buffers_are_restored_at_normal_completion():
    model, history = tune([3, 1, 2], early_stopping=True, patience=5)
    assert len(history["val_loss"]) == 3
    assert model.epoch == 1
    # Epochs one and two have been seen by the BatchNorm, not the third.
    mean = 0.0
    for value in (2.0, 3.0):  # its input is 1 + the epoch, counted from one
        mean = 0.9 * mean + 0.1 * value
    assert model.norm.running_mean.numpy() == pytest.approx([mean] * 3)
    assert model.norm.num_batches_tracked.item() == 2


def test_without_early_stopping_the_last_weights_remain():
    model, history = tune([3, 1, 2])
    assert model.epoch == 2
    assert history.best_epoch == 1
    assert not history.restored


def test_restore_best_asks_for_the_best_weights_without_early_stopping():
    model, history = tune([3, 1, 2], restore_best=True)
    assert model.epoch == 1
    assert history.restored


def test_restore_best_false_keeps_the_last_weights_with_early_stopping():
    model, _ = tune([3, 1, 2, 2], early_stopping=True, patience=2, restore_best=False)
    assert model.epoch == 3


def interrupt_at(epoch):
    def interrupt(now, history):
        if now == epoch:
            raise KeyboardInterrupt

    return interrupt


def test_at_ctrl_c_the_best_weights_are_restored_and_the_interrupt_carries_the_history():
    model, history = tune(
        [3, 1, 2, 0], early_stopping=True, patience=9, callbacks=[interrupt_at(2)]
    )
    assert model.epoch == 1
    assert isinstance(history, History)
    assert history["val_loss"] == [3, 1, 2]
    assert history.stopped_early
    assert not model.training


def test_ctrl_c_passes_through(run):
    with pytest.raises(KeyboardInterrupt) as caught:
        run(epochs=5, callbacks=[interrupt_at(1)])
    assert caught.value.history.epochs == 2


def test_at_ctrl_c_within_an_epoch_the_best_weights_are_restored():
    class Interrupt:
        def on_train_batch_end(self, batch):
            if self.model.epoch == 2:
                raise KeyboardInterrupt

        def set_model(self, model):
            self.model = model

    model, history = tune([3, 1, 2], restore_best=True, callbacks=[Interrupt()])
    assert model.epoch == 1
    assert history["val_loss"] == [3, 1]


def test_at_ctrl_c_without_early_stopping_the_last_weights_remain():
    model, _ = tune([3, 1, 2, 0], callbacks=[interrupt_at(2)])
    assert model.epoch == 2


def test_without_validation_it_watches_train_loss_with_a_warning():
    with pytest.warns(UserWarning, match="EarlyStopping watches train_loss"):
        model, history = tune([3, 1, 2, 2], val=False, early_stopping=True, patience=2)
    assert history["train_loss"] == [3, 1, 2, 2]
    assert model.epoch == 1


def test_callbacks_run_on_the_last_epoch_as_well():
    seen = []
    _, history = tune(
        [3, 4, 4, 4],
        early_stopping=True,
        patience=2,
        callbacks=[lambda epoch, history: seen.append(epoch)],
    )
    assert len(history["val_loss"]) == 3
    assert seen == [0, 1, 2]


def test_weights_unfrozen_after_the_best_epoch_are_restored_too(convnet, photos):
    model = TransferModel(convnet, nn.Linear(6, 2))
    first = convnet.conv1.weight.detach().numpy().copy()
    losses = iter([1.0, 2.0, 3.0])

    class Worse(EarlyStopping):
        def on_epoch_end(self, epoch, history):
            history["val_loss"][-1] = next(losses)
            super().on_epoch_end(epoch, history)
            model.unfreeze_layers(["conv1"])

    optimizer = SGD([*convnet.parameters(), *model.get_new_layers().parameters()], lr=0.5)
    labels = [0, 1] * 4
    fine_tune(
        model,
        optimizer,
        photos,
        labels,
        photos,
        labels,
        epochs=3,
        verbose=0,
        callbacks=[Worse(patience=5)],
    )
    np.testing.assert_array_equal(convnet.conv1.weight.detach().numpy(), first)


def test_min_delta_is_the_least_improvement_that_counts():
    _, history = tune([3, 2.95, 2.9, 1], callbacks=[EarlyStopping(patience=2, min_delta=0.2)])
    assert len(history["val_loss"]) == 3


def test_a_monitor_that_rises_is_told_by_its_name(run):
    values = iter([0.5, 0.9, 0.7, 0.6])

    class Accuracy(EarlyStopping):
        def on_epoch_end(self, epoch, history):
            history["val_accuracy"][-1] = next(values)
            super().on_epoch_end(epoch, history)

    _, history = run(epochs=4, callbacks=[Accuracy("val_accuracy", patience=9)])
    assert history.best_epoch == 1


def test_a_monitor_that_does_not_exist_is_an_error_before_the_first_epoch(run):
    with pytest.raises(ValueError, match=r"no 'val_f1' to watch; this run gives train_loss"):
        run(callbacks=[EarlyStopping("val_f1")])
    with pytest.raises(ValueError, match=r"no 'val_accuracy'.*Pass val_data"):
        run(callbacks=[EarlyStopping("val_accuracy")], val_data=None, val_labels=None)


def test_best_weights_is_a_callback_of_its_own(run):
    model, history = run(epochs=3, lr=5.0, callbacks=[BestWeights()])
    twin, _ = run(epochs=history.best_epoch + 1, lr=5.0)
    for (name, found), (_, expected) in zip(
        model.named_parameters(), twin.named_parameters(), strict=True
    ):
        np.testing.assert_array_equal(found.detach().numpy(), expected.detach().numpy(), name)


def test_stop_training_raised_at_a_batch_ends_that_epoch_there():
    class Stop:
        def on_train_batch_end(self, batch, logs):
            raise StopTraining

    _, history = tune([3, 2, 1], callbacks=[Stop()], batch_size=2)
    assert history["val_loss"] == [3]
    assert history.stopped_early
