"""The metrics: of a whole epoch, not averaged over its batches."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.optim import SGD
from neurenix.transfer import F1, FunctionMetric, Metric, fine_tune

rng = np.random.default_rng(4)


class Given(nn.Module):
    """Gives its input back."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(neurenix.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


def measured(outputs, labels, metrics, batch_size=3, model=None):
    """Return what one epoch without learning measures."""
    model = model or Given()
    x = np.asarray(outputs, np.float32)
    optimizer = SGD(model.parameters(), lr=0.0)
    options = {"epochs": 1, "batch_size": batch_size, "verbose": 0, "metrics": metrics}
    history = fine_tune(model, optimizer, x, labels, x, labels, **options)
    return {key.removeprefix("val_"): values[0] for key, values in history.items() if values}


def f1_of(predicted, actual, positive):
    right = ((predicted == positive) & (actual == positive)).sum()
    both = (predicted == positive).sum() + (actual == positive).sum()
    return 2 * right / both


@pytest.mark.parametrize("batch_size", [1, 3, 20])
def test_macro_f1_is_counted_over_the_whole_epoch(batch_size):
    outputs = rng.normal(size=(20, 4))
    labels = rng.integers(0, 3, 20)  # class 3 is only predicted
    predicted = outputs.argmax(axis=1)
    expected = np.mean([f1_of(predicted, labels, k) for k in range(4)])
    found = measured(outputs, labels, ["f1"], batch_size)
    assert found["f1"] == found["train_f1"] == pytest.approx(expected, rel=1e-6)


def test_a_class_that_never_occurs_does_not_count_in_macro_f1():
    outputs = np.eye(5)[[0, 1, 1]]
    assert measured(outputs, [0, 1, 0], "f1")["f1"] == pytest.approx((2 / 3 + 2 / 3) / 2)


def test_f1_of_two_classes_is_that_of_class_1():
    outputs = rng.normal(size=(20, 2))
    labels = rng.integers(0, 2, 20)
    expected = f1_of(outputs.argmax(axis=1), labels, 1)
    assert measured(outputs, labels, "f1")["f1"] == pytest.approx(expected, rel=1e-6)
    single = measured(outputs[:, 1:], labels, ["f1"])["f1"]
    assert single == pytest.approx(f1_of((outputs[:, 1] > 0).astype(int), labels, 1), rel=1e-6)
    macro = measured(outputs, labels, ["f1_macro", "f1_binary"])
    other = f1_of(outputs.argmax(axis=1), labels, 0)
    assert macro["f1_macro"] == pytest.approx((expected + other) / 2, rel=1e-6)
    assert macro["f1_binary"] == pytest.approx(expected, rel=1e-6)


def test_f1_of_several_labels_a_sample_is_the_mean_over_labels():
    outputs = rng.normal(size=(12, 3))
    labels = np.vstack([rng.integers(0, 2, (11, 3)), [1, 1, 0]]).astype(np.float32)
    expected = np.mean([f1_of(outputs[:, k] > 0, labels[:, k] == 1, True) for k in range(3)])
    assert measured(outputs, labels, ["f1"])["f1"] == pytest.approx(expected, rel=1e-6)


def test_f1_is_zero_where_nothing_is_right():
    assert measured(np.eye(2)[[0, 0]], [1, 0], "f1")["f1"] == 0.0


@pytest.mark.parametrize("k", [1, 2, 4])
def test_top_k_counts_classes_among_the_k_largest(k):
    outputs = rng.normal(size=(20, 4))
    labels = rng.integers(0, 4, 20)
    best = np.argsort(-outputs, axis=1)[:, :k]
    expected = np.mean([label in row for label, row in zip(labels, best, strict=True)])
    assert measured(outputs, labels, [f"top-{k}"])[f"top{k}"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 20])
def test_r2_keeps_its_digits_far_from_zero(batch_size):
    targets = 1e4 + rng.normal(size=20)
    outputs = (targets + 0.3 * rng.normal(size=20)).astype(np.float32)
    y = targets.astype(np.float32).astype(np.float64)
    expected = 1 - ((y - outputs) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    found = measured(outputs[:, None], targets.astype(np.float32), ["r2", "mae"], batch_size)
    assert found["r2"] == pytest.approx(expected, abs=1e-3)
    assert found["mae"] == pytest.approx(np.abs(outputs - y).mean(), rel=1e-2)


def test_r2_of_labels_that_do_not_vary_is_nan():
    assert np.isnan(measured(np.ones((4, 1)), np.full(4, 2.5), ["r2"])["r2"])


def test_r2_of_several_outputs_is_their_mean():
    y = rng.normal(size=(20, 2)).astype(np.float32)
    outputs = y + rng.normal(size=(20, 2)).astype(np.float32)
    each = 1 - ((y - outputs) ** 2).sum(axis=0) / ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    assert measured(outputs, y, ["r2"])["r2"] == pytest.approx(each.mean(), rel=1e-4)


def test_a_function_sees_all_outputs_and_labels_of_an_epoch():
    def spread(outputs, labels):
        assert outputs.shape == (20, 4)
        assert labels.shape == (20,)
        return outputs.numpy().max() - outputs.numpy().min()

    outputs = rng.normal(size=(20, 4))
    named = FunctionMetric(lambda outputs, labels: (labels == 1).sum(), name="ones")
    labels = rng.integers(0, 4, 20)
    found = measured(outputs, labels, [spread, named])
    assert found["spread"] == found["train_spread"] == pytest.approx(np.ptp(outputs), rel=1e-5)
    assert found["ones"] == (labels == 1).sum()


def test_a_function_must_return_one_number():
    def rows(outputs, labels):
        return outputs

    with pytest.raises(TypeError, match="expected one number"):
        measured(rng.normal(size=(4, 3)), [0, 1, 2, 0], rows)


def test_a_metric_of_ones_own_is_an_object():
    class Largest(Metric):
        name = "largest"

        def measure(self, outputs, labels):
            return (outputs.max(),)

        def combine(self, batches):
            return max(float(value) for (value,) in batches)

    outputs = rng.normal(size=(20, 3))
    found = measured(outputs, [0, 1] * 10, [Largest(), "accuracy"])
    assert found["largest"] == pytest.approx(outputs.max())


def test_metrics_stand_in_the_history_and_in_the_printed_line(run, capsys):
    _, history = run(metrics=["f1", "top1"], verbose=2)
    keys = ["train_accuracy", "val_accuracy", "train_f1", "val_f1", "train_top1", "val_top1"]
    assert list(history) == ["train_loss", "val_loss", *keys, "lr", "epoch_time"]
    assert all(len(values) == 3 for values in history.values())
    assert history["val_top1"] == pytest.approx(history["val_accuracy"])
    line = capsys.readouterr().out.splitlines()[-1]
    for key in ("f1", "top1", "val_f1", "val_top1"):
        assert f"- {key}: " in line


def test_early_stopping_can_watch_any_metric(run):
    from neurenix.transfer import EarlyStopping

    _, history = run(epochs=12, metrics=["f1"], callbacks=[EarlyStopping("val_f1", patience=2)])
    assert history.best_epoch == int(np.argmax(history["val_f1"]))


def test_f1_can_be_built_directly():
    from neurenix_transfer.tasks import Task

    metric = F1("macro", 3, Task.CLASSES, 0.0)
    outputs, labels = Tensor(np.eye(3, dtype=np.float32)), Tensor(np.array([0, 1, 1]))
    parts = tuple(part.numpy() for part in metric.measure(outputs, labels))
    assert metric.combine([parts]) == pytest.approx((1 + 2 / 3 + 0) / 3)
