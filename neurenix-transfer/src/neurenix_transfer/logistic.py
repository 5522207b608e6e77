"""Logistic regression with an L2 penalty, along a path of strengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from neurenix_transfer.lbfgs import Vector, minimize
from neurenix_transfer.sources import Array
from neurenix_transfer.standard_basis import Floats, StandardBasis


def logistic_path(
    basis: StandardBasis,
    classes: Array,
    num_classes: int,
    strengths: Sequence[float],
    tolerance: float,
) -> Iterator[tuple[Floats, Floats]]:
    """Fit logistic regression for each of some strengths, each from where the last one ended.

    The minimum of ``mean cross-entropy + strength / 2 * |W|^2`` is found by L-BFGS; the bias is
    not penalised. Two classes have one row w of weights, and its logit stands for the difference
    of theirs; more have a row each, and the softmax of their logits.

    Args:
        basis: The samples.
        classes: The class of each, ``(N,)``, from 0.
        num_classes: How many there are.
        strengths: The strengths, in the order of the path; from strong to weak is fastest.
        tolerance: The largest component of the gradient at the minimum, in coordinates in which
            the curvature is about 1.

    Yields:
        The weight ``(K, R)`` and the bias ``(K,)`` at each strength; K is 1 for two classes.
    """
    rows = 1 if num_classes == 2 else num_classes
    samples = basis.coordinates
    # The curvature of cross-entropy where all classes are equally likely: its largest for two.
    curvature = (num_classes - 1) / num_classes**2
    weight, bias = np.zeros((rows, samples.shape[1])), np.zeros(rows)
    for strength in strengths:
        # One scale a column, the last one that of the bias.
        scale = 1.0 / np.sqrt(curvature * np.append(basis.variances, 1.0) + strength)
        scale[-1] = 1.0 / np.sqrt(curvature)
        start = weight, bias
        weight, bias = _fit(samples, classes, strength, start, scale, tolerance)
        yield weight, bias


def _fit(
    samples: Floats,
    classes: Array,
    strength: float,
    start: tuple[Floats, Floats],
    scale: Floats,
    tolerance: float,
) -> tuple[Floats, Floats]:
    """Fit logistic regression, from a start, in coordinates that are scaled."""
    rows = len(start[0])

    def unscaled(x: Vector) -> tuple[Floats, Floats]:
        table = x.reshape(rows, -1) * scale
        return table[:, :-1], table[:, -1]

    def objective(x: Vector) -> tuple[float, Vector]:
        weight, bias = unscaled(x)
        loss, error = _loss_and_error(samples @ weight.T + bias, classes)
        value = loss + 0.5 * strength * float((weight * weight).sum())
        grad = np.column_stack([error.T @ samples + strength * weight, error.sum(axis=0)])
        return value, (grad * scale).reshape(-1)

    table = np.column_stack(start) / scale
    return unscaled(minimize(objective, table.reshape(-1), tolerance=tolerance).x)


def two_rows(weight: Floats, bias: Floats) -> tuple[Floats, Floats]:
    """Return a model of two classes with one row as one with a row a class, of the same answers."""
    return np.concatenate([-weight, weight]) / 2.0, np.concatenate([-bias, bias]) / 2.0


def cross_entropies(logits: Floats, classes: Array) -> Floats:
    """Return the cross-entropy of each sample.

    Args:
        logits: ``(N, K)``, or ``(N, 1)`` for two classes.
        classes: ``(N,)``.
    """
    if logits.shape[1] == 1:
        out: Floats = np.logaddexp(0.0, np.where(classes == 1, -1.0, 1.0) * logits[:, 0])
        return out
    top = logits.max(axis=1)
    total = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top
    loss: Floats = total - logits[np.arange(len(classes)), classes]
    return loss


def _loss_and_error(logits: Floats, classes: Array) -> tuple[float, Floats]:
    """Return the mean cross-entropy, and its gradient with respect to the logits."""
    count = len(classes)
    if logits.shape[1] == 1:
        sign = np.where(classes == 1, -1.0, 1.0)
        signed = sign * logits[:, 0]
        loss = np.logaddexp(0.0, signed)
        # 1 / (1 + exp(-x)) in the form that neither overflows nor loses small values
        error = sign * np.exp(signed - loss) / count
        return float(loss.mean()), error[:, None]
    logits = logits - logits.max(axis=1, keepdims=True)
    probs = np.exp(logits)
    total = probs.sum(axis=1, keepdims=True)
    picked = np.arange(count), classes
    loss = np.log(total[:, 0]) - logits[picked]
    probs /= total
    probs[picked] -= 1.0
    return float(loss.mean()), probs / count
