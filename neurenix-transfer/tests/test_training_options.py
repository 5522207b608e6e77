"""The options of fine_tune: what each does, against a computation by hand."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.optim import SGD
from neurenix.transfer import L2SP, TransferModel, fine_tune

LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 0.2, 0.1], [-1.0, 1.5, 0.0], [0.0, 0.0, 3.0]])
LABELS = np.array([0, 1, 1, 2])


class Fixed(nn.Module):
    """Gives its input back plus a bias of zero, so that the loss is known."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(neurenix.zeros((width,)))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


def first_losses(labels=LABELS, logits=LOGITS, batch_size=2, **options):
    """Return the losses of one epoch without learning."""
    model = Fixed(logits.shape[1])
    x = logits.astype(np.float32)
    history = fine_tune(
        model,
        SGD(model.parameters(), lr=0.0),
        x,
        labels,
        x,
        labels,
        epochs=1,
        batch_size=batch_size,
        verbose=0,
        **options,
    )
    return history["train_loss"][0], history["val_loss"][0]


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


PLAIN = -log_softmax(LOGITS)[np.arange(4), LABELS]


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_a_class_weight_counts_the_same_in_whatever_batch_a_sample_comes(batch_size):
    weights = {0: 2.0, 1: 0.5}  # class 2 weighs 1
    train, val = first_losses(batch_size=batch_size, class_weight=weights)
    assert train == pytest.approx((PLAIN * [2.0, 0.5, 0.5, 1.0]).mean(), rel=1e-6)
    assert val == pytest.approx(PLAIN.mean(), rel=1e-6)


def test_balanced_class_weights_make_every_class_count_the_same():
    train, val = first_losses(class_weight="balanced")
    by_class = [PLAIN[0], PLAIN[1:3].mean(), PLAIN[3]]
    assert train == pytest.approx(np.mean(by_class), rel=1e-6)
    assert val == pytest.approx(PLAIN.mean(), rel=1e-6)


def test_binary_labels_can_be_weighed_and_smoothed():
    labels, logits = np.array([0, 1, 1, 1]), np.array([[-1.0], [2.0], [0.3], [1.0]])

    def bce(target):
        p = 1 / (1 + np.exp(-logits[:, 0]))
        return -(target * np.log(p) + (1 - target) * np.log(1 - p))

    train, val = first_losses(labels, logits, class_weight="balanced", label_smoothing=0.2)
    weights = np.array([2.0, 2 / 3, 2 / 3, 2 / 3])
    assert train == pytest.approx((bce(labels * 0.8 + 0.1) * weights).mean(), rel=1e-6)
    assert val == pytest.approx(bce(labels).mean(), rel=1e-6)


def test_validation_loss_has_no_label_smoothing():
    train, val = first_losses(label_smoothing=0.3)
    logs = log_softmax(LOGITS)
    smooth = 0.7 * -logs[np.arange(4), LABELS] + 0.3 * -logs.mean(axis=1)
    assert train == pytest.approx(smooth.mean(), rel=1e-6)
    assert val == pytest.approx(PLAIN.mean(), rel=1e-6)


def test_soft_targets_can_be_weighed_and_smoothed():
    soft = np.array([[0.5, 0.5, 0], [0, 1, 0], [0.2, 0.3, 0.5], [0, 0, 1]], np.float32)
    train, val = first_losses(soft, class_weight={2: 3.0}, label_smoothing=0.1)
    logs = log_softmax(LOGITS)
    weights = soft @ np.array([1.0, 1.0, 3.0])
    target = soft * 0.9 + 0.1 / 3
    assert train == pytest.approx((-(target * logs).sum(axis=1) * weights).mean(), rel=1e-6)
    assert val == pytest.approx(-(soft * logs).sum(axis=1).mean(), rel=1e-6)


@pytest.mark.filterwarnings("ignore:the model ends in Softmax")
@pytest.mark.parametrize("end", [nn.Softmax(1), nn.LogSoftmax(1)])
def test_probabilities_give_the_loss_of_the_logits_they_come_from(end):
    options = {"class_weight": "balanced", "label_smoothing": 0.2}
    model = nn.Sequential(Fixed(3), end)
    x = LOGITS.astype(np.float32)
    optimizer = SGD(model.parameters(), lr=0.0)
    history = fine_tune(model, optimizer, x, LABELS, epochs=1, batch_size=2, verbose=0, **options)
    assert history["train_loss"] == pytest.approx([first_losses(**options)[0]], rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_weight": {3: 1.0}}, "classes are 0 to 2"),
        ({"class_weight": {0: -1.0}}, "at least 0"),
        ({"class_weight": {"ant": 1.0}}, "class indices"),
        ({"class_weight": "balance"}, "balanced"),
        ({"class_weight": dict.fromkeys(range(3), 0.0)}, "nothing can be learned"),
        ({"class_weight": "balanced", "loss_fn": nn.CrossEntropyLoss()}, "loss_fn of your own"),
        ({"label_smoothing": 1.0}, "below 1"),
        ({"mixup": -1.0}, "above 0"),
        ({"clip_norm": 0.0}, "above 0"),
        ({"clip_norm": 1.0, "clip_value": 1.0}, "choose one"),
        ({"ema": 1.0}, "below 1"),
        ({"regularizer": L2SP}, "Regularizer such as"),
        ({"metrics": "recall"}, "there are accuracy"),
        ({"metrics": ["r2"]}, "does not go with"),
        ({"metrics": ["top4"]}, "4 outputs"),
        ({"metrics": ["f1", "f1"]}, "two metrics"),
        ({"metrics": [lambda outputs, labels: 0.0]}, "FunctionMetric"),
    ],
)
def test_an_option_that_makes_no_sense_is_an_error_before_the_first_step(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        first_losses(**options)


def test_class_weights_and_smoothing_are_refused_for_numbers_to_predict():
    targets = np.array([0.5, 1.5, 2.5, 3.5])
    for option in ({"class_weight": "balanced"}, {"label_smoothing": 0.1}):
        with pytest.raises(ValueError, match="numbers to predict"):
            first_losses(targets, LOGITS[:, :1], **option)


def one_step(**options):
    """Take one step of gradient descent at rate 1, and return by how much each weight moved."""
    neurenix.manual_seed(0)
    model = nn.Linear(3, 3)
    before = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    x = LOGITS.astype(np.float32)
    optimizer = SGD(model.parameters(), lr=1.0)
    fine_tune(model, optimizer, x, LABELS, epochs=1, batch_size=4, verbose=0, **options)
    return {name: p.detach().numpy() - before[name] for name, p in model.named_parameters()}


def norm(moves):
    return np.sqrt(sum((move**2).sum() for move in moves.values()))


def test_clip_norm_scales_all_gradients_together():
    free = one_step()
    limit = 0.5 * norm(free)
    clipped = one_step(clip_norm=float(limit))
    assert norm(clipped) == pytest.approx(limit, rel=1e-5)
    for name, move in free.items():
        np.testing.assert_allclose(clipped[name], 0.5 * move, rtol=1e-4, atol=1e-6)
    again = one_step(clip_norm=float(2 * norm(free)))
    for name, move in free.items():
        np.testing.assert_array_equal(again[name], move)


def test_clip_value_cuts_each_element():
    free = one_step()
    clipped = one_step(clip_value=0.05)
    for name, move in free.items():
        np.testing.assert_allclose(clipped[name], np.clip(move, -0.05, 0.05), atol=1e-7)


def test_a_regularizer_steers_the_gradients_and_stays_out_of_the_losses():
    def shrink(model):
        return 0.25 * sum((p * p).sum() for p in model.parameters())

    free, shrunk = one_step(), one_step(regularizer=shrink)
    neurenix.manual_seed(0)
    for name, param in nn.Linear(3, 3).named_parameters():
        expected = free[name] - 0.5 * param.detach().numpy()
        np.testing.assert_allclose(shrunk[name], expected, atol=1e-6)
    assert first_losses(regularizer=lambda model: (model.bias - 1.0).sum()) == first_losses()


def test_l2_sp_draws_pretrained_weights_to_their_start_and_new_ones_to_zero():
    neurenix.manual_seed(0)
    base, head = nn.Linear(3, 4), nn.Linear(4, 3)
    model = TransferModel(base, head, freeze_base=False)
    regularizer = L2SP(alpha=0.5, beta=0.1)
    regularizer.on_train_begin(model)
    new = sum((p.detach().numpy() ** 2).sum() for p in head.parameters())
    assert regularizer.penalty(model).item() == pytest.approx(0.05 * new, rel=1e-5)
    with neurenix.no_grad():
        base.weight.copy_(base.weight + 2.0)
    assert regularizer.penalty(model).item() == pytest.approx(0.25 * 48 + 0.05 * new, rel=1e-5)
    base.bias.requires_grad = False  # what is frozen pays nothing
    with neurenix.no_grad():
        base.bias.fill_(100.0)
    assert regularizer.penalty(model).item() == pytest.approx(0.25 * 48 + 0.05 * new, rel=1e-5)


def test_l2_sp_keeps_the_base_near_its_start(run, blobs):
    moved = {}
    for alpha in (0.0, 10.0):
        neurenix.manual_seed(0)
        base = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 5))
        start = base[0].weight.detach().numpy().copy()
        model = TransferModel(base, nn.Linear(8, 2), freeze_base=False)
        fine_tune(
            model,
            SGD(model.parameters(), lr=0.05),
            blobs.train,
            blobs.train_labels,
            epochs=5,
            verbose=0,
            regularizer=L2SP(alpha=alpha),
        )
        moved[alpha] = np.abs(base[0].weight.detach().numpy() - start).sum()
    assert 0 < moved[10.0] < 0.5 * moved[0.0]


@pytest.mark.parametrize(
    "options",
    [
        {"clip_norm": 0.1},
        {"clip_value": 0.01},
        {"class_weight": "balanced", "label_smoothing": 0.1},
        {"mixup": 0.3},
        {"ema": 0.9},
        {"regularizer": lambda model: 0.01 * sum((p * p).sum() for p in model.parameters())},
        {"metrics": ["f1", "top1"]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_every_option_is_bitwise_reproducible(run, options):
    model, history = run(seed=3, **options)
    twin, again = run(seed=3, **options)
    for key in history:
        assert key == "epoch_time" or history[key] == again[key], key
    for (name, a), (_, b) in zip(model.named_parameters(), twin.named_parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy(), name)


def test_options_are_printed_once(run, capsys):
    run(verbose=1, ema=0.9, mixup=0.2, clip_norm=1.0, regularizer=L2SP(), class_weight="balanced")
    out = capsys.readouterr().out
    assert "cross-entropy with class weights 1, 1" in out
    for part in ("norm 1", "mixup 0.2", "L2-SP", "decay 0.9"):
        assert out.count(part) == 1
