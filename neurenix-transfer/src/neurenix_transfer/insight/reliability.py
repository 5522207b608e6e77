"""How far a model that says it is sure is right: reliability, and its error as one number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 15
"""Of equal width, as Guo et al. took them."""


@dataclass(frozen=True)
class ReliabilityBin:
    """The predictions of similar confidence.

    Attributes:
        low: The confidence at which the bin begins.
        high: And at which it ends; a confidence of just that belongs to it.
        count: How many predictions fall into it.
        confidence: Their mean confidence; 0 where there is none.
        accuracy: The share of them that is right; 0 where there is none.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability(
    probabilities: npt.NDArray[Any], labels: npt.NDArray[Any], bins: int = BINS
) -> list[ReliabilityBin]:
    """Sort predictions into bins by the probability of their most probable class.

    Args:
        probabilities: Of each class for each sample.
        labels: The true class of each sample.
        bins: How many bins of equal width.

    Shape:
        probabilities (N, C), labels (N,).
    """
    if bins < 1:
        raise ValueError(f"bins is at least 1, not {bins}")
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    # Upper ends belong to a bin, so that a confidence of 1 has one.
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for index in range(bins):
        inside = number == index
        count = int(inside.sum())
        mean = float(confidence[inside].mean()) if count else 0.0
        accuracy = float(right[inside].mean()) if count else 0.0
        found.append(ReliabilityBin(index / bins, (index + 1) / bins, count, mean, accuracy))
    return found


def expected_calibration_error(
    probabilities: npt.NDArray[Any], labels: npt.NDArray[Any], bins: int = BINS
) -> float:
    r"""Return the mean gap between confidence and accuracy.

    .. math::
        \mathrm{ECE} = \sum_m \frac{|B_m|}{N} \, |\mathrm{acc}(B_m) - \mathrm{conf}(B_m)|

    Few samples make it large by chance alone: with a hundred, 0.05 says little.

    Args:
        probabilities: Of each class for each sample.
        labels: The true class of each sample.
        bins: How many bins of equal width.

    Shape:
        probabilities (N, C), labels (N,).

    Reference:
        Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian
        Binning", 2015.
    """
    gaps = (
        each.count * abs(each.accuracy - each.confidence)
        for each in reliability(probabilities, labels, bins)
    )
    return sum(gaps) / max(len(labels), 1)


def negative_log_likelihood(probabilities: npt.NDArray[Any], labels: npt.NDArray[Any]) -> float:
    """Return the mean of ``-log p(true class)``, the cross-entropy."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, np.finfo(np.float64).tiny)).mean())
