"""Metrics of predicted numbers: R squared."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

import neurenix
from neurenix import Tensor
from neurenix_transfer.metrics.metric import Measured, Metric
from neurenix_transfer.sources import Array


class R2(Metric):
    """The coefficient of determination, ``1 - sum (y - x)^2 / sum (y - mean(y))^2``.

    With several outputs, the mean over them. NaN where the labels do not vary.

    Reference:
        Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance", 1983: the sums of
        squares of batches are joined about their means, which loses no digits where the labels
        are far from zero.
    """

    name = "r2"

    def measure(self, outputs: Tensor, labels: Tensor) -> Measured:
        """Take the count, the mean, the squares about it, and the squared errors, an output."""
        rows = labels.shape[0]
        actual = labels.reshape((rows, labels.size // rows))
        error = actual - outputs.reshape(actual.shape)
        mean = actual.mean(axis=0)
        spread = actual - mean
        return (
            neurenix.full((), float(rows)),
            mean,
            (spread * spread).sum(axis=0),
            (error * error).sum(axis=0),
        )

    def combine(self, batches: Sequence[tuple[Array, ...]]) -> float:
        """Join the batches in 64 bits."""
        count = 0.0
        mean, squares, errors = np.zeros(()), np.zeros(()), np.zeros(())
        for part_count, *parts in batches:
            rows = float(part_count)
            part_mean, part_squares, part_errors = (part.astype(np.float64) for part in parts)
            delta = part_mean - mean
            squares = squares + part_squares + delta * delta * count * rows / (count + rows)
            mean = mean + delta * rows / (count + rows)
            errors = errors + part_errors
            count += rows
        if not np.all(squares):
            return math.nan
        return float(np.mean(1.0 - errors / squares))
