"""Metrics of classifiers: accuracy, top-k accuracy, F1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

import neurenix
from neurenix import Tensor
from neurenix_transfer.metrics.metric import Measured, Metric
from neurenix_transfer.sources import Array
from neurenix_transfer.tasks import Task


class TopK(Metric):
    """The share of samples whose class is among the k largest outputs.

    Args:
        k: How many outputs count.
    """

    def __init__(self, k: int) -> None:
        self.k = k
        self.name = f"top{k}"

    def measure(self, outputs: Tensor, labels: Tensor) -> Measured:
        """Count the samples, and those that were hit."""
        _, best = neurenix.topk(outputs, self.k, axis=1)
        hit = (best == labels.unsqueeze(1)).astype(neurenix.float32).max(axis=1)
        return hit.sum(), neurenix.full((), float(hit.size))

    def combine(self, batches: Sequence[tuple[Array, ...]]) -> float:
        """Return the share."""
        hits, count = (sum(float(part) for part in parts) for parts in zip(*batches, strict=True))
        return hits / count


class F1(Metric):
    """The harmonic mean of precision and recall, ``2 TP / (2 TP + FP + FN)``.

    Counted over the whole epoch. 0 where nothing is right.

    Args:
        average: ``"binary"``: of class 1; ``"macro"``: the mean over the classes that occur among
            labels or predictions, each counting the same.
        classes: The number of classes.
        task: What the labels are.
        threshold: What an output must exceed to mean 1, where there is one a class or one at all.
        name: The key in the history.
    """

    def __init__(
        self,
        average: Literal["binary", "macro"],
        classes: int,
        task: Task,
        threshold: float,
        name: str = "f1",
    ) -> None:
        self.average = average
        self.classes = classes
        self.task = task
        self.threshold = threshold
        self.name = name

    def measure(self, outputs: Tensor, labels: Tensor) -> Measured:
        """Count, for each class, what is right, what was predicted, and what is there."""
        if self.task in (Task.BINARY, Task.MULTILABEL):
            predicted, actual = _flags(outputs > self.threshold), _flags(labels > 0.5)
        else:
            if self.task is Task.MIXTURE:
                labels = labels.argmax(axis=1)
            predicted = _one_hot(outputs.argmax(axis=1), self.classes)
            actual = _one_hot(labels, self.classes)
        right = (predicted * actual).sum(axis=0)
        return right, predicted.sum(axis=0), actual.sum(axis=0)

    def combine(self, batches: Sequence[tuple[Array, ...]]) -> float:
        """Return the F1."""
        right, predicted, actual = (
            np.sum([part.astype(np.float64) for part in parts], axis=0)
            for parts in zip(*batches, strict=True)
        )
        both = predicted + actual
        scores = np.divide(2 * right, both, out=np.zeros_like(both), where=both > 0)
        if self.average == "macro":
            return float(scores[both > 0].mean()) if (both > 0).any() else 0.0
        return float(scores[-1])


def _flags(values: Tensor) -> Tensor:
    """Return zeros and ones as ``(rows, classes)``; a single output is one class."""
    flags = values.astype(neurenix.float32)
    return flags.reshape((flags.size, 1)) if flags.ndim == 1 else flags


def _one_hot(labels: Tensor, classes: int) -> Tensor:
    flat = labels.reshape((labels.size,)).astype(neurenix.int64)
    return neurenix.one_hot(flat, classes).astype(neurenix.float32)
