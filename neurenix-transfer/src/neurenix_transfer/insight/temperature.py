"""Temperature scaling: one number that makes a classifier's probabilities honest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from neurenix_transfer.insight.reliability import (
    expected_calibration_error,
    negative_log_likelihood,
)

Floats: TypeAlias = npt.NDArray[np.float64]

LOWEST, HIGHEST = 0.1, 10.0
"""Temperatures beyond these say that the samples do not determine one."""

_STEPS = 60
_TOLERANCE = 1e-10  # of the logarithm of the temperature


@dataclass(frozen=True)
class Calibration:
    """A temperature, and what it does on the samples that it was fitted on.

    Attributes:
        temperature: What logits are divided by before softmax; 1 leaves them as they are.
        samples: How many samples it was fitted on.
        loss_before: Their negative log-likelihood without it.
        loss_after: And with it.
        error_before: Their expected calibration error without it.
        error_after: And with it.
        note: Why the temperature is 1 where none could be fitted; else empty.
    """

    temperature: float
    samples: int
    loss_before: float
    loss_after: float
    error_before: float
    error_after: float
    note: str = ""

    def probabilities(self, logits: Any) -> Floats:
        """Return calibrated probabilities of logits.

        Shape:
            Input: (N, C). Output: (N, C).
        """
        return softmax(np.asarray(logits, np.float64), self.temperature)

    def record(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {
            "temperature": self.temperature,
            "samples": self.samples,
            "nll": {"before": self.loss_before, "after": self.loss_after},
            "expected_calibration_error": {
                "before": self.error_before,
                "after": self.error_after,
            },
            "note": self.note or None,
        }

    def line(self) -> str:
        """Say in a line what was found."""
        if self.note:
            return f"Calibration: none, {self.note}"
        return (
            f"Calibration: temperature {self.temperature:.3f}; "
            f"NLL {self.loss_before:.4f} -> {self.loss_after:.4f}, expected calibration error "
            f"{self.error_before:.4f} -> {self.error_after:.4f}"
        )


def softmax(logits: npt.NDArray[Any], temperature: float = 1.0) -> Floats:
    """Return ``softmax(logits / temperature)`` along the last axis, in float64.

    Logits that come as float32 stay apart in float64, so that no temperature makes two classes
    equal and the most probable class remains the same one.
    """
    scaled = logits.astype(np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    probabilities: Floats = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def fit_temperature(logits: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Calibration:
    """Find the temperature with the lowest negative log-likelihood.

    The loss is convex in the inverse temperature, so that there is one minimum, and Newton's
    method within a bracket finds it. Where there is none (all samples are right, so that ever
    surer is ever better), the temperature stays 1: such samples tell nothing about confidence.

    Args:
        logits: Of samples that the model was not trained on.
        labels: Their classes.

    Shape:
        logits (N, C), labels (N,).

    Reference:
        Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", 2017.
    """
    scores = np.asarray(logits, np.float64)
    if scores.ndim != 2 or len(scores) == 0 or len(scores) != len(labels):
        raise ValueError(
            f"expected logits (N, C) and a label for each, got {scores.shape} and {len(labels)} "
            "labels"
        )
    if not np.isfinite(scores).all():
        raise ValueError("the logits are not all finite numbers, so that none calibrates them")
    temperature, note = _minimum(scores, labels)
    before, after = softmax(scores), softmax(scores, temperature)
    return Calibration(
        temperature,
        len(scores),
        negative_log_likelihood(before, labels),
        negative_log_likelihood(after, labels),
        expected_calibration_error(before, labels),
        expected_calibration_error(after, labels),
        note,
    )


def _minimum(logits: Floats, labels: npt.NDArray[Any]) -> tuple[float, str]:
    right = logits[np.arange(len(labels)), labels]

    def slope_and_curvature(inverse: float) -> tuple[float, float]:
        """Derivatives of the loss: what the model expects of its logits, less what it got."""
        shares = softmax(logits, 1.0 / inverse)
        mean = (shares * logits).sum(axis=1)
        spread = (shares * logits * logits).sum(axis=1) - mean * mean
        return float((mean - right).mean()), float(spread.mean())

    low, high = 1.0 / HIGHEST, 1.0 / LOWEST
    # Rounding alone gives equal logits a slope; what is that small moves nothing.
    least = 1e-12 * max(1.0, float(np.abs(logits).max()))
    if abs(slope_and_curvature(1.0)[0]) <= least:
        return 1.0, ""
    if slope_and_curvature(high)[0] < 0.0:
        if (logits.argmax(axis=1) == labels).all():
            return 1.0, "for every sample is right, which tells nothing of how sure to be"
        return 1.0, f"for the samples would take a temperature below {LOWEST:g}"
    if slope_and_curvature(low)[0] > 0.0:
        return 1.0, f"for the samples would take a temperature above {HIGHEST:g}"
    inverse = 1.0
    for _ in range(_STEPS):
        slope, curvature = slope_and_curvature(inverse)
        if slope > 0.0:
            high = inverse
        else:
            low = inverse
        step = inverse - slope / curvature if curvature > 0.0 else math.nan
        # A step out of the bracket is replaced by its middle, on the scale of ratios.
        following = step if low < step < high else math.sqrt(low * high)
        if abs(math.log(following / inverse)) < _TOLERANCE:
            return 1.0 / following, ""
        inverse = following
    return 1.0 / inverse, ""
