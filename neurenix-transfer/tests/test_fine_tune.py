"""The training loop: what it trains, measures, and leaves behind."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.optim import SGD, Adam, OneCycleLR, ReduceLROnPlateau, StepLR
from neurenix.transfer import History, OptimizerError, TransferModel, fine_tune


def weights(model):
    return {name: p.detach().numpy().copy() for name, p in model.named_parameters()}


def test_history_is_a_dict_of_float_lists_with_attributes(run):
    _, history = run(epochs=3)
    assert isinstance(history, dict)
    keys = ["train_loss", "val_loss", "train_accuracy", "val_accuracy", "lr", "epoch_time"]
    assert list(history) == keys
    for values in history.values():
        assert len(values) == 3
        assert all(type(value) is float for value in values)
    assert history["lr"] == [0.02] * 3
    assert all(0 < seconds < 60 for seconds in history["epoch_time"])
    assert history.best_epoch == int(np.argmin(history["val_loss"]))
    assert history.stopped_early is False


def test_without_validation_val_loss_is_an_empty_list(run):
    _, history = run(val_data=None, val_labels=None)
    assert history["val_loss"] == history["val_accuracy"] == []
    assert history.best_epoch == int(np.argmin(history["train_loss"]))


def test_regression_measures_mae(blobs):
    neurenix.manual_seed(0)
    model = nn.Linear(4, 1)
    targets = blobs.train.sum(axis=1)
    optimizer = SGD(model.parameters(), lr=0.0)
    history = fine_tune(model, optimizer, blobs.train, targets, epochs=1, verbose=0)
    predicted = model(Tensor(blobs.train)).detach().numpy()[:, 0]
    assert history["train_mae"] == pytest.approx([np.abs(predicted - targets).mean()], rel=1e-5)
    assert "train_accuracy" not in history


def test_it_learns_and_only_what_is_unfrozen(run):
    neurenix.manual_seed(7)
    start, _ = run(epochs=0)
    model, history = run(epochs=12)
    assert history["train_loss"][-1] < 0.7 * history["train_loss"][0]
    assert history["val_accuracy"][-1] > 0.8
    for name, before in weights(start).items():
        changed = (weights(model)[name] != before).any()
        assert changed == name.startswith("new_layers."), name


def test_an_epochs_loss_is_the_mean_over_samples_not_over_batches(blobs):
    neurenix.manual_seed(0)
    model = nn.Linear(4, 2)
    x, y = Tensor(blobs.train), Tensor(blobs.train_labels)
    expected = neurenix.cross_entropy(model(x), y).item()
    optimizer = SGD(model.parameters(), lr=0.0)
    # 30 samples in batches of 28 and 2: the mean over batches would weigh the last two 14 times.
    for batch_size in (28, 7, 30):
        history = fine_tune(
            model,
            optimizer,
            blobs.train,
            blobs.train_labels,
            blobs.train,
            blobs.train_labels,
            epochs=1,
            batch_size=batch_size,
            verbose=0,
        )
        assert history["train_loss"] == pytest.approx([expected], rel=1e-6)
        assert history["val_loss"] == pytest.approx([expected], rel=1e-6)


def test_it_agrees_with_a_plain_loop(blobs):
    neurenix.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    twin = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    twin.load_state_dict(model.state_dict())
    history = fine_tune(
        model,
        Adam(model.parameters(), lr=0.01),
        blobs.train,
        blobs.train_labels,
        epochs=2,
        batch_size=10,
        shuffle=False,
        verbose=0,
    )
    optimizer = Adam(twin.parameters(), lr=0.01)
    for epoch in range(2):
        losses = []
        for start in range(0, 30, 10):
            x = Tensor(blobs.train[start : start + 10])
            y = Tensor(blobs.train_labels[start : start + 10])
            loss = neurenix.cross_entropy(twin(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert history["train_loss"][epoch] == pytest.approx(np.mean(losses), rel=1e-6)
    for name, value in weights(twin).items():
        np.testing.assert_array_equal(weights(model)[name], value)


def test_it_ends_in_eval_mode(run):
    model, _ = run()
    assert not any(module.training for module in model.modules())


def test_it_ends_in_eval_mode_after_an_error_too(blobs):
    def fail(epoch, history):
        raise RuntimeError("mine")

    model = nn.Linear(4, 2)
    with pytest.raises(RuntimeError, match="mine"):
        fine_tune(
            model,
            SGD(model.parameters(), lr=0.1),
            blobs.train,
            blobs.train_labels,
            callbacks=[fail],
            verbose=0,
        )
    assert not model.training


def test_zero_epochs_give_an_empty_history(run):
    _, history = run(epochs=0)
    assert history["train_loss"] == []
    assert history.best_epoch is None


def test_an_optimizer_that_lacks_trainable_parameters_is_warned_of(blobs):
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    optimizer = SGD(model[1].parameters(), lr=0.1)
    with pytest.warns(UserWarning, match=r"2 of 4 trainable parameters .* 0\.weight, 0\.bias"):
        fine_tune(model, optimizer, blobs.train, blobs.train_labels, epochs=1, verbose=0)


def test_an_optimizer_that_holds_none_is_an_error(convnet, photos):
    model = TransferModel(convnet, nn.Linear(6, 2))
    optimizer = SGD(convnet.parameters(), lr=0.1)
    with pytest.raises(OptimizerError, match="holds none of the 2 trainable"):
        fine_tune(model, optimizer, photos, [0, 1] * 4, verbose=0)


def test_a_model_without_trainable_parameters_is_an_error(mlp, blobs):
    mlp.requires_grad_(False)
    with pytest.raises(OptimizerError, match=r"all are frozen.*unfreeze_layers"):
        fine_tune(mlp, SGD(mlp.parameters(), lr=0.1), blobs.train, blobs.train_labels)


def test_the_skipped_classifier_is_no_part_of_optimizer_checks(convnet, photos):
    model = TransferModel(convnet, nn.Linear(6, 2), freeze_base=False)
    optimizer = SGD(model.parameters(), lr=0.01)  # without fc, and nothing is warned of
    fine_tune(model, optimizer, photos, [0, 1] * 4, epochs=1, verbose=0)
    assert convnet.fc.weight.grad is None


def test_an_optimizer_of_two_groups_with_the_whole_base_is_fine(convnet, photos):
    model = TransferModel(convnet, nn.Linear(6, 2), fine_tune_layers=["layer10"])
    groups = [
        {"params": model.get_base_model().parameters(), "lr": 0.001},
        {"params": model.get_new_layers().parameters(), "lr": 0.01},
    ]
    before = weights(convnet)
    history = fine_tune(model, SGD(groups, momentum=0.9), photos, [0, 1] * 4, epochs=1, verbose=0)
    changed = {name for name, p in weights(convnet).items() if (p != before[name]).any()}
    assert changed == {"layer10.weight", "layer10.bias"}
    assert history["lr"] == [0.001]


def test_a_terminal_softmax_is_trained_by_nll_with_a_warning(blobs):
    neurenix.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 2))
    model = nn.Sequential(nn.Linear(4, 2), nn.Softmax())
    model[0].load_state_dict(plain[0].state_dict())
    data = (blobs.train, blobs.train_labels)
    expected = fine_tune(plain, SGD(plain.parameters(), lr=0.1), *data, epochs=2, verbose=0)
    with pytest.warns(UserWarning, match="ends in Softmax"):
        found = fine_tune(model, SGD(model.parameters(), lr=0.1), *data, epochs=2, verbose=0)
    assert found["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-5)
    assert found["train_accuracy"] == expected["train_accuracy"]


def test_schedulers_are_stepped_once_an_epoch(run):
    neurenix.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = SGD(model.parameters(), lr=1.0)
    x = np.ones((8, 4), np.float32)
    options = {"epochs": 4, "batch_size": 4, "verbose": 0}
    history = fine_tune(model, optimizer, x, [0, 1] * 4, scheduler=StepLR(optimizer, 2), **options)
    assert history["lr"] == pytest.approx([1.0, 1.0, 0.1, 0.1])
    optimizer = SGD(model.parameters(), lr=1.0)
    plateau = ReduceLROnPlateau(optimizer, patience=0, threshold=10.0)
    history = fine_tune(model, optimizer, x, [0, 1] * 4, scheduler=plateau, **options)
    assert history["lr"] == pytest.approx([1.0, 1.0, 0.1, 0.01])


def test_a_schedule_given_as_a_function_is_told_the_steps_and_stepped_once_a_batch():
    model = nn.Linear(4, 2)
    optimizer = SGD(model.parameters(), lr=1.0)
    told = []

    def schedule(optimizer, total_steps):
        told.append(total_steps)
        return StepLR(optimizer, 1, gamma=0.5)

    x = np.ones((9, 4), np.float32)
    history = fine_tune(
        model, optimizer, x, [0, 1, 0] * 3, epochs=2, batch_size=4, scheduler=schedule, verbose=0
    )
    assert told == [6]
    assert history["lr"] == pytest.approx([0.5**2, 0.5**5])


def test_one_cycle_is_stepped_once_a_batch():
    model = nn.Linear(4, 2)
    optimizer = SGD(model.parameters(), lr=1.0, momentum=0.9)
    cycle = OneCycleLR(optimizer, max_lr=1.0, total_steps=4)
    x = np.ones((8, 4), np.float32)
    fine_tune(model, optimizer, x, [0, 1] * 4, epochs=2, batch_size=4, scheduler=cycle, verbose=0)
    assert cycle.last_step == 4


def test_freezing_in_a_callback_moves_the_cut(convnet, photos):
    model = TransferModel(convnet, nn.Linear(6, 2))
    before = convnet.conv1.weight.detach().numpy().copy()

    def unfreeze(epoch, history):
        model.unfreeze_layers(["conv1"])

    optimizer = SGD([*convnet.parameters(), *model.get_new_layers().parameters()], lr=0.1)
    fine_tune(model, optimizer, photos, [0, 1] * 4, epochs=1, callbacks=[unfreeze], verbose=0)
    np.testing.assert_array_equal(convnet.conv1.weight.detach().numpy(), before)
    fine_tune(model, optimizer, photos, [0, 1] * 4, epochs=1, verbose=0)
    assert (convnet.conv1.weight.detach().numpy() != before).any()


def test_history_record_ignores_nan_for_the_best_epoch():
    history = History("accuracy", has_validation=True)
    for value in (float("nan"), 2.0, 1.0, float("nan"), 1.5):
        history.record({"train_loss": 0.0, "val_loss": value})
    assert history.best_epoch == 2
