"""Losses against their formulas, in every reduction, and the shapes that they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.errors import DTypeError, ShapeError
from neurenix.nn import functional as F

RNG = np.random.default_rng(4)
LOGITS = RNG.standard_normal((6, 4)).astype(np.float32)
LABELS = np.array([0, 3, 1, 1, 2, 0])
WEIGHT = np.array([0.5, 1.0, 2.0, 0.25], dtype=np.float32)
PROBS = RNG.dirichlet(np.ones(4), 6).astype(np.float32)
X, T = RNG.standard_normal((2, 5, 3)).astype(np.float32) * 2
REDUCTIONS = ("mean", "sum", "none")


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def reduced(losses: np.ndarray, reduction: str, divisor: float | None = None) -> Any:
    if reduction == "none":
        return losses
    total = losses.sum()
    return total if reduction == "sum" else total / (losses.size if divisor is None else divisor)


def close(out: Tensor, expected: Any) -> None:
    assert out.shape == np.shape(expected)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_of_indices(reduction: Any, smoothing: float, weighted: bool) -> None:
    weight = WEIGHT if weighted else np.ones(4)
    target = np.eye(4)[LABELS] * (1 - smoothing) + smoothing / 4
    losses = -(log_softmax(LOGITS) * target * weight).sum(1)
    loss = nn.CrossEntropyLoss(
        Tensor(WEIGHT) if weighted else None, reduction=reduction, label_smoothing=smoothing
    )
    close(loss(Tensor(LOGITS), Tensor(LABELS)), reduced(losses, reduction, weight[LABELS].sum()))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_of_probabilities(reduction: Any, smoothing: float, weighted: bool) -> None:
    weight = WEIGHT if weighted else np.ones(4)
    target = PROBS * (1 - smoothing) + smoothing / 4
    losses = -(log_softmax(LOGITS) * target * weight).sum(1)
    loss = nn.CrossEntropyLoss(
        Tensor(WEIGHT) if weighted else None, reduction=reduction, label_smoothing=smoothing
    )
    close(loss(Tensor(LOGITS), Tensor(PROBS)), reduced(losses, reduction, 6))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_ignored_targets_count_for_nothing(reduction: Any) -> None:
    labels = LABELS.copy()
    labels[[1, 4]] = -100
    kept = labels != -100
    losses = np.where(kept, -log_softmax(LOGITS)[range(6), LABELS] * WEIGHT[LABELS], 0)
    options: Any = {"ignore_index": -100, "reduction": reduction}
    expected = reduced(losses, reduction, WEIGHT[LABELS][kept].sum())
    close(nn.CrossEntropyLoss(Tensor(WEIGHT), **options)(Tensor(LOGITS), Tensor(labels)), expected)
    log_probs = Tensor(log_softmax(LOGITS).astype(np.float32))
    close(nn.NLLLoss(Tensor(WEIGHT), **options)(log_probs, Tensor(labels)), expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nll_of_images(reduction: Any) -> None:
    x = np.log(RNG.dirichlet(np.ones(4), (2, 3, 5))).transpose(0, 3, 1, 2).astype(np.float32)
    labels = RNG.integers(0, 4, (2, 3, 5))
    picked = np.take_along_axis(x, labels[:, None], 1)[:, 0]
    losses = -picked * WEIGHT[labels]
    expected = reduced(losses, reduction, WEIGHT[labels].sum())
    close(nn.NLLLoss(Tensor(WEIGHT), reduction=reduction)(Tensor(x), Tensor(labels)), expected)
    loss = nn.CrossEntropyLoss(Tensor(WEIGHT), reduction=reduction)
    close(loss(Tensor(x), Tensor(labels)), expected)


def test_a_single_sample_needs_no_batch() -> None:
    expected = -log_softmax(LOGITS[:1])[0, 2]
    x, label = Tensor(LOGITS[0]), Tensor(2)
    for reduction in REDUCTIONS:
        close(F.cross_entropy(x, label, reduction=reduction), expected)
        close(F.nll_loss(F.log_softmax(x), label, reduction=reduction), expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_bce_with_logits(reduction: Any) -> None:
    x = X.astype(np.float64) * 20  # far beyond where a naive sigmoid overflows
    target = (T > 0).astype(np.float32)
    positive, element = np.array([1.0, 3.0, 0.5]), np.array([2.0, 1.0, 1.0])
    softplus = np.logaddexp(0, -x)
    losses = element * ((1 - target) * (x + softplus) + positive * target * softplus)
    loss = nn.BCEWithLogitsLoss(
        Tensor(element.astype(np.float32)),
        reduction=reduction,
        pos_weight=Tensor(positive.astype(np.float32)),
    )
    close(loss(Tensor(x.astype(np.float32)), Tensor(target)), reduced(losses, reduction))
    plain = nn.BCEWithLogitsLoss(reduction=reduction)
    losses = (1 - target) * (x + softplus) + target * softplus
    for dtype in (np.float32, np.int64, bool):
        out = plain(Tensor(x.astype(np.float32)), Tensor(target.astype(dtype)))
        close(out, reduced(losses, reduction))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_errors_of_regression(reduction: Any) -> None:
    gap = np.abs(X.astype(np.float64) - T)
    pair = Tensor(X), Tensor(T)
    close(nn.MSELoss(reduction=reduction)(*pair), reduced(gap**2, reduction))
    close(nn.L1Loss(reduction=reduction)(*pair), reduced(gap, reduction))
    for beta in (1.0, 0.5):
        losses = np.where(gap < beta, gap**2 / (2 * beta), gap - beta / 2)
        close(nn.SmoothL1Loss(reduction=reduction, beta=beta)(*pair), reduced(losses, reduction))
    close(nn.SmoothL1Loss(reduction=reduction, beta=0.0)(*pair), reduced(gap, reduction))


@pytest.mark.parametrize(
    "loss", [nn.MSELoss(), nn.L1Loss(), nn.SmoothL1Loss(), nn.BCEWithLogitsLoss()], ids=repr
)
def test_a_column_is_never_broadcast_against_a_row(loss: nn.Module) -> None:
    with pytest.raises(ShapeError, match=r"input has shape \(5, 1\) and target \(5,\); reshape"):
        loss(neurenix.zeros((5, 1)), neurenix.zeros((5,)))
    with pytest.raises(ShapeError, match="broadcasts nothing"):
        loss(neurenix.zeros((5, 2)), neurenix.zeros((2,)))


def test_targets_of_classes_are_checked() -> None:
    loss, logits = nn.CrossEntropyLoss(), neurenix.zeros((5, 3))
    labels = neurenix.zeros((5, 1), dtype=neurenix.int64)
    with pytest.raises(ShapeError, match=r"class indices of shape \(5,\), but got \(5, 1\)"):
        loss(logits, labels)
    with pytest.raises(ShapeError, match=r"class indices of shape \(5,\), but got \(5, 3\)"):
        loss(logits, neurenix.zeros((5, 3), dtype=neurenix.int64))
    with pytest.raises(ShapeError, match=r"but got \(5,\); class indices are integers"):
        loss(logits, neurenix.zeros((5,)))
    with pytest.raises(DTypeError, match="class indices of an integer dtype, not float32"):
        nn.NLLLoss()(logits, neurenix.zeros((5,)))
    with pytest.raises(ShapeError, match=r"a weight a class, \(3,\), but got \(4,\)"):
        nn.CrossEntropyLoss(Tensor(WEIGHT))(logits, labels.squeeze(-1))


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="reduction is 'mean', 'sum' or 'none', not 'avg'"):
        nn.MSELoss(reduction="avg")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="label_smoothing lies between 0 and 1; got 2"):
        nn.CrossEntropyLoss(label_smoothing=2)
    with pytest.raises(ValueError, match="beta is not negative; got -1"):
        nn.SmoothL1Loss(beta=-1)
    assert repr(nn.L1Loss(reduction="sum")) == "L1Loss(reduction='sum')"


def test_gradients_of_ignored_samples_are_zero() -> None:
    logits = Tensor(LOGITS, requires_grad=True)
    labels = LABELS.copy()
    labels[2] = -1
    nn.CrossEntropyLoss(ignore_index=-1)(logits, Tensor(labels)).backward()
    grad = logits.grad.numpy()
    assert not grad[2].any()
    probs = np.exp(log_softmax(LOGITS))
    np.testing.assert_allclose(grad[0], (probs[0] - np.eye(4)[0]) / 5, rtol=1e-4, atol=1e-6)
