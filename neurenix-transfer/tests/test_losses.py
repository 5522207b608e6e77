"""The loss that is chosen when none is given, and how outputs meet labels."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.optim import SGD
from neurenix.transfer import LabelError, fine_tune
from neurenix_transfer.losses import align, choose_loss, task_of, wrap_loss
from neurenix_transfer.tasks import Task, find_task, score

CE, SOFT = "cross-entropy", "soft cross-entropy"
BCE, MSE = "binary cross-entropy with logits", "mean squared error"
THIRDS = [[0.25, 0.25, 0.5], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("labels", "width", "task", "loss"),
    [
        ([0, 2, 1], (3,), Task.CLASSES, CE),
        ([True, False, True], (2,), Task.CLASSES, CE),
        ([0, 1, 1], (2,), Task.CLASSES, CE),
        ([0, 1, 1], (1,), Task.BINARY, BCE),
        ([0.0, 1.0, 1.0], (1,), Task.BINARY, BCE),
        ([True, False, True], (1,), Task.BINARY, BCE),
        ([0, 1, 1], (), Task.BINARY, BCE),
        (THIRDS, (3,), Task.MIXTURE, SOFT),
        ([[1, 0, 0], [0, 0, 1]], (3,), Task.MIXTURE, SOFT),  # one-hot rows
        ([[1, 1, 0], [0, 0, 0]], (3,), Task.MULTILABEL, BCE),
        ([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], (3,), Task.MULTILABEL, BCE),
        ([[True, True], [False, True]], (2,), Task.MULTILABEL, BCE),
        ([0.5, 2.5, 1.0], (1,), Task.VALUES, MSE),
        ([[0.5, 2.5], [-1.0, 2.0]], (2,), Task.VALUES, MSE),
        ([[0.5, 0.7], [0.5, 0.5]], (2,), Task.VALUES, MSE),  # not all rows sum to 1
        ([[1.5, -0.5], [0.5, 0.5]], (2,), Task.VALUES, MSE),  # sums to 1, but negative
        ([[[0, 1], [2, 1]]], (3, 2, 2), Task.CLASSES, CE),  # a class a pixel
    ],
)
def test_the_loss_follows_from_the_labels(labels, width, task, loss):
    found = find_task(np.array(labels), width, "train_labels")
    assert found is task
    assert choose_loss(found, None).name == loss


@pytest.mark.parametrize(
    ("labels", "width", "message"),
    [
        ([0, 2, 1], (1,), r"train_labels\[1\] is 2.*one output a class \(3\).*floats"),
        ([0, 3, 1], (3,), r"train_labels\[1\] is 3; the model has 3 outputs.*0 to 2"),
        ([0, -1, 1], (3,), r"train_labels\[1\] is -1"),
        ([0.0, 1.0, 2.0], (3,), r"whole numbers"),
        ([[3, 4], [5, 1]], (2,), r"train_labels\[0\] is \[3 4\].*as floats"),
        ([[0.5, 0.5], [0.2, 0.8]], (3,), r"\(2,\) a sample.*\(3,\)"),
        ([0.5, float("nan"), 1.5], (1,), r"train_labels\[1\] is nan; expected a finite"),
    ],
)
def test_labels_that_fit_no_loss_are_an_error_naming_the_sample(labels, width, message):
    with pytest.raises(LabelError, match=message):
        find_task(np.array(labels), width, "train_labels")


@pytest.mark.parametrize(
    ("terminal", "task", "name", "warned"),
    [
        (nn.Softmax(), Task.CLASSES, "cross-entropy on probabilities (NLL)", True),
        (nn.Softmax(), Task.MIXTURE, "soft cross-entropy on probabilities (NLL)", True),
        (nn.Sigmoid(), Task.BINARY, "binary cross-entropy on probabilities", True),
        (nn.Sigmoid(), Task.MULTILABEL, "binary cross-entropy on probabilities", True),
        (nn.Sigmoid(), Task.CLASSES, "binary cross-entropy on probabilities", True),
        (nn.LogSoftmax(), Task.CLASSES, "cross-entropy on log-probabilities (NLL)", False),
        (nn.LogSoftmax(), Task.MIXTURE, "soft cross-entropy on log-probabilities (NLL)", False),
        (nn.Sigmoid(), Task.VALUES, MSE, False),
    ],
)
def test_a_terminal_activation_changes_the_loss(recwarn, terminal, task, name, warned):
    assert choose_loss(task, terminal).name == name
    assert [w for w in recwarn if "is computed from probabilities" in str(w.message)] or not warned
    assert bool(len(recwarn)) is warned


LOGITS = np.array([[1.0, -0.5, 0.3], [0.2, 2.0, -1.0]], np.float32)


@pytest.mark.parametrize("terminal", [nn.Softmax(), nn.LogSoftmax()])
@pytest.mark.parametrize(
    ("task", "labels"),
    [(Task.CLASSES, np.array([2, 0])), (Task.MIXTURE, np.array(THIRDS[:2], np.float32))],
)
@pytest.mark.filterwarnings("ignore:the model ends in Softmax")
def test_losses_of_probabilities_equal_the_loss_of_their_logits(terminal, task, labels):
    logits, target = Tensor(LOGITS), Tensor(labels)
    expected = choose_loss(task, None).function(logits, target).item()
    found = choose_loss(task, terminal).function(terminal(logits), target).item()
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.filterwarnings("ignore:the model ends in Sigmoid")
def test_bce_on_probabilities_equals_bce_with_logits():
    logits, target = Tensor(LOGITS), Tensor(np.array([[1, 0, 1], [0, 0, 1]], np.float32))
    expected = neurenix.bce_with_logits(logits, target).item()
    function = choose_loss(Task.MULTILABEL, nn.Sigmoid()).function
    assert function(neurenix.sigmoid(logits), target).item() == pytest.approx(expected, rel=1e-6)
    classes = function(neurenix.sigmoid(logits), Tensor([2, 0])).item()
    one_hot = Tensor(np.array([[0, 0, 1], [1, 0, 0]], np.float32))
    assert classes == pytest.approx(neurenix.bce_with_logits(logits, one_hot).item(), rel=1e-6)


def test_probabilities_of_0_and_1_give_a_finite_loss():
    with pytest.warns(UserWarning, match="Sigmoid"):
        function = choose_loss(Task.BINARY, nn.Sigmoid()).function
    loss = function(Tensor([0.0, 1.0]), Tensor([1.0, 0.0])).item()
    assert np.isfinite(loss)


def test_nothing_broadcasts_b1_against_b():
    outputs, labels = neurenix.ones((4, 1)), neurenix.ones((4,))
    assert align(outputs, labels).shape == (4,)
    assert align(neurenix.ones((4, 2)), labels).shape == (4, 2)


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
@pytest.mark.parametrize("loss_fn", [None, nn.MSELoss(), lambda out, y: ((out - y) ** 2).mean()])
def test_regression_with_one_output_measures_pairs_whatever_the_shape_of_labels(shape, loss_fn):
    neurenix.manual_seed(0)
    model = nn.Linear(3, 1)
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    y = np.linspace(-1.0, 1.5, 6, dtype=np.float32)
    expected = ((model(Tensor(x)).detach().numpy()[:, 0] - y) ** 2).mean()
    optimizer = SGD(model.parameters(), lr=0.0)
    history = fine_tune(model, optimizer, x, y.reshape(shape), epochs=1, loss_fn=loss_fn, verbose=0)
    assert history["train_loss"] == pytest.approx([expected], rel=1e-6)
    assert set(history) >= {"train_mae", "val_mae"}


def test_a_given_loss_is_validated_without_class_weights_and_smoothing():
    given = nn.CrossEntropyLoss(weight=Tensor([1.0, 5.0]), label_smoothing=0.2)
    loss = wrap_loss(given, Task.CLASSES)
    logits, labels = Tensor([[1.0, -1.0], [0.5, 0.7]]), Tensor([1, 0])
    assert loss.function(logits, labels).item() == given(logits, labels).item()
    plain = neurenix.cross_entropy(logits, labels).item()
    assert loss.evaluation(logits, labels).item() == plain != loss.function(logits, labels).item()


def test_a_partial_of_a_known_loss_is_validated_without_its_extras():
    given = partial(neurenix.cross_entropy, label_smoothing=0.3)
    loss = wrap_loss(given, Task.CLASSES)
    logits, labels = Tensor([[1.0, -1.0], [0.5, 0.7]]), Tensor([1, 0])
    plain = neurenix.cross_entropy(logits, labels).item()
    assert loss.evaluation(logits, labels).item() == plain != loss.function(logits, labels).item()
    assert task_of(np.array([0, 1]), (2,), given) is Task.CLASSES


def test_ignored_labels_may_lie_outside_of_the_classes(blobs):
    model = nn.Linear(4, 2)
    labels = np.where(np.arange(30) % 5 == 0, -100, blobs.train_labels)
    loss_fn = nn.CrossEntropyLoss(ignore_index=-100)
    optimizer = SGD(model.parameters(), lr=0.1)
    history = fine_tune(
        model,
        optimizer,
        blobs.train,
        labels,
        blobs.train,
        labels,
        epochs=1,
        loss_fn=loss_fn,
        verbose=0,
    )
    assert np.isfinite(history["val_loss"]).all()


def test_a_summed_loss_is_still_recorded_as_the_mean_over_samples(blobs):
    recorded = []
    for reduction in ("mean", "sum"):
        neurenix.manual_seed(0)
        model = nn.Linear(4, 2)
        history = fine_tune(
            model,
            SGD(model.parameters(), lr=0.0),
            blobs.train,
            blobs.train_labels,
            blobs.val,
            blobs.val_labels,
            epochs=1,
            verbose=0,
            loss_fn=nn.CrossEntropyLoss(reduction=reduction),
        )
        recorded.append(history["train_loss"] + history["val_loss"])
    assert recorded[0] == pytest.approx(recorded[1], rel=1e-6)


def test_labels_are_checked_against_a_given_loss_too():
    with pytest.raises(LabelError, match=r"train_labels\[1\] is 5"):
        task_of(np.array([0, 5]), (3,), nn.CrossEntropyLoss())
    assert task_of(np.array([0, 2]), (3,), nn.CrossEntropyLoss()) is Task.CLASSES
    assert task_of(np.array([0, 5]), (1,), nn.MSELoss()) is Task.VALUES
    with pytest.raises(LabelError, match=r"\(2,\) a sample needs"):
        task_of(np.array([0.0, 5.0]), (2,), nn.L1Loss())


def test_a_given_function_may_take_labels_that_we_do_not_know():
    assert task_of(np.zeros((4, 7)), (3,), lambda outputs, labels: outputs.sum()) is None


def test_a_loss_that_is_no_function_is_a_type_error():
    with pytest.raises(TypeError, match="loss_fn is a function"):
        wrap_loss("cross_entropy", Task.CLASSES)


@pytest.mark.parametrize(
    ("task", "terminal", "outputs", "labels", "expected"),
    [
        (Task.CLASSES, None, [[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]], [0, 1, 1], 2.0),
        (Task.BINARY, None, [-1.0, 0.3, 2.0], [0, 1, 0], 2.0),
        (Task.BINARY, nn.Sigmoid(), [0.4, 0.6, 0.9], [0, 1, 0], 2.0),
        (Task.MIXTURE, None, [[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.4], [0.9, 0.1]], 1.0),
        (Task.MULTILABEL, None, [[1.0, -1.0], [1.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]], 1.5),
        (Task.VALUES, None, [[1.0, 2.0], [0.0, 0.0]], [[2.0, 2.0], [0.0, 4.0]], 2.5),
    ],
)
def test_the_metric_is_summed_over_samples(task, terminal, outputs, labels, expected):
    assert score(task, terminal)(Tensor(outputs), Tensor(labels)).item() == expected
