"""LogME: how well features explain labels, as the evidence of a Bayesian linear model."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurenix_transfer.sources import Array
from neurenix_transfer.standard_basis import Floats

_TOLERANCE = 1e-6  # of the ratio of the precisions, which the evidence depends on weakly
_ITERATIONS = 200  # it takes three to ten
_SMALLEST = 1e-12  # a sum of squares below this part of the whole is rounding


def logme(features: Any, labels: Any) -> float:
    """Return the log of the maximum evidence of a linear model of the labels, a sample.

    For one column y of N targets, with ``y ~ N(F w, 1/beta)`` and ``w ~ N(0, 1/alpha)``, it is

        max over alpha, beta of  1/N log p(y | F, alpha, beta)

    Classes are taken as columns of zeros and ones, one a class, and the mean over the columns is
    returned. Higher is better; only differences between features for the same labels mean
    anything. The maximum is found by MacKay's fixed-point iteration in the singular vectors of F,
    as the authors do, so that it costs one decomposition and a few vector operations.

    Args:
        features: F, ``(N, C)``.
        labels: Classes ``(N,)`` as whole numbers, or values ``(N,)`` or ``(N, K)`` as floats.

    Reference:
        You, Liu, Wang and Long, "LogME: Practical Assessment of Pre-trained Models for Transfer
        Learning", 2021.
    """
    matrix = np.asarray(features, dtype=np.float64)
    targets = np.asarray(labels)
    if targets.dtype.kind in "iub":
        targets = (targets[:, None] == np.unique(targets)).astype(np.float64)
    targets = targets.astype(np.float64).reshape(len(matrix), -1)
    squares, shares, rest = _projected(matrix, targets)
    evidences = [
        _evidence(squares, shares[:, column], float(rest[column]), len(matrix))
        for column in range(targets.shape[1])
    ]
    return float(np.mean(evidences))


def _projected(features: Floats, targets: Floats) -> tuple[Floats, Floats, Array]:
    """Return squared singular values, squared projections of the targets, and what is left.

    Shape:
        ``(R,)``, ``(R, K)`` and ``(K,)``.
    """
    count, width = features.shape
    if count <= width:
        squares, vectors = _kept(*np.linalg.eigh(features @ features.T))
        left = vectors
    else:
        squares, vectors = _kept(*np.linalg.eigh(features.T @ features))
        left = features @ (vectors / np.sqrt(squares))
    shares = (left.T @ targets) ** 2
    total = (targets**2).sum(axis=0)
    return squares, shares, np.maximum(total - shares.sum(axis=0), 0.0)


def _kept(squares: Floats, vectors: Floats) -> tuple[Floats, Floats]:
    """Return the eigenvalues that are more than rounding, and their vectors."""
    kept = squares > _SMALLEST * squares.max(initial=0.0)
    return squares[kept], vectors[:, kept]


def _evidence(squares: Floats, shares: Floats, rest: float, count: int) -> float:
    """Maximise the evidence of one column of targets over both precisions."""
    total = float(shares.sum()) + rest
    if total == 0.0:
        return np.inf  # all zero: explained without any weight
    alpha = beta = 1.0
    smallest = _SMALLEST * total
    for _ in range(_ITERATIONS):
        ratio = alpha / beta
        weights, residual = _weights_and_residual(squares, shares, rest, ratio)
        weights, residual = max(weights, _SMALLEST), max(residual, smallest)
        effective = float((squares / (ratio + squares)).sum())
        alpha, beta = effective / weights, (count - effective) / residual
        if abs(alpha / beta - ratio) <= _TOLERANCE * ratio:
            break
    weights, residual = _weights_and_residual(squares, shares, rest, alpha / beta)
    residual = max(residual, smallest)
    # log |A| without what cancels against the prior's width * log(alpha).
    volume = float(np.log1p(squares * (beta / alpha)).sum()) if squares.size else 0.0
    log_evidence = (
        count * np.log(beta / (2.0 * np.pi)) - beta * residual - alpha * weights - volume
    ) / 2.0
    return float(log_evidence / count)


def _weights_and_residual(
    squares: Floats, shares: Floats, rest: float, ratio: float
) -> tuple[float, float]:
    """Return the squared norms of the most probable weights and of what they leave unexplained."""
    part = 1.0 / (ratio + squares)
    weights = float((squares * part * part * shares).sum())
    return weights, float(((ratio * part) ** 2 * shares).sum()) + rest
