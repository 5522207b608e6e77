"""How good predictions are: accuracy with its uncertainty, recall a class, confusion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_Z_95 = 1.959963984540054  # the 97.5 % quantile of the standard normal distribution


def wilson_interval(correct: int, total: int, z: float = _Z_95) -> tuple[float, float]:
    r"""Return the score interval of a proportion.

    .. math::
        \frac{p + z^2/2n \pm z \sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    Unlike the textbook's ``p ± z·sqrt(p(1-p)/n)`` it holds near 0 and 1 and for few samples.

    Args:
        correct: How many are right.
        total: Of how many.
        z: The normal quantile; the default gives 95 %.

    Returns:
        The lower and the upper bound; (0, 1) where there are no samples.

    Reference:
        E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    if total == 0:
        return 0.0, 1.0
    share, spread = correct / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Evaluation:
    """Predictions beside the truth.

    Attributes:
        classes: The names of the classes.
        labels: The true class of each photo.
        probabilities: The predicted probability of each class for each photo.
        paths: The photos.

    Shape:
        labels (N,), probabilities (N, C).
    """

    classes: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    paths: tuple[Path, ...]

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The most probable class of each photo."""
        most_probable: npt.NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return most_probable

    @property
    def total(self) -> int:
        """How many photos there are."""
        return len(self.labels)

    @property
    def correct(self) -> int:
        """How many are predicted right."""
        return int((self.predicted == self.labels).sum())

    @property
    def accuracy(self) -> float:
        """The share predicted right."""
        return self.correct / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the accuracy."""
        return wilson_interval(self.correct, self.total)

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """Counts of photos by true class (row) and predicted class (column)."""
        counts = np.zeros((len(self.classes), len(self.classes)), np.int64)
        np.add.at(counts, (self.labels, self.predicted), 1)
        return counts

    @property
    def recall(self) -> dict[str, float | None]:
        """For each class the share of its photos predicted right; None where it has none."""
        return {
            name: float(row[index] / row.sum()) if row.sum() else None
            for index, (name, row) in enumerate(zip(self.classes, self.confusion, strict=True))
        }

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have photos."""
        known = [recall for recall in self.recall.values() if recall is not None]
        return sum(known) / len(known)

    @property
    def loss(self) -> float:
        """The mean cross-entropy."""
        chosen = self.probabilities[np.arange(self.total), self.labels]
        return float(-np.log(np.maximum(chosen, np.finfo(np.float64).tiny)).mean())

    def most_wrong(self, count: int) -> list[int]:
        """Return the wrongly predicted photos, those surest of a wrong class first."""
        wrong = np.flatnonzero(self.predicted != self.labels)
        truth = self.probabilities[wrong, self.labels[wrong]]
        return [int(index) for index in wrong[np.argsort(truth, kind="stable")][:count]]

    def summary(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {
            "accuracy": self.accuracy,
            "correct": self.correct,
            "total": self.total,
            "interval_95": list(self.interval),
            "balanced_accuracy": self.balanced_accuracy,
            "recall": self.recall,
            "loss": self.loss,
            "confusion": self.confusion.tolist(),
        }


def evaluation_lines(
    evaluation: Evaluation, train_labels: Sequence[int] | None = None
) -> list[str]:
    """Lay the figures out as lines of text: a row a class, then the accuracies.

    Args:
        evaluation: The predictions.
        train_labels: The labels trained on, for a column of their counts.
    """
    width = max(len("class"), *(len(name) for name in evaluation.classes))
    counts = np.bincount(train_labels, minlength=len(evaluation.classes)) if train_labels else None
    head = f"{'class':<{width}}" + (f"  {'train':>6}" if train_labels else "")
    lines = [f"{head}  {'val' if train_labels else 'photos':>6}  {'recall':>7}"]
    for index, (name, recall) in enumerate(evaluation.recall.items()):
        trained = f"  {counts[index]:>6}" if counts is not None else ""
        shown = "-" if recall is None else f"{recall:.4f}"
        photos = int(evaluation.confusion[index].sum())
        lines.append(f"{name:<{width}}{trained}  {photos:>6}  {shown:>7}")
    low, high = evaluation.interval
    lines.append(
        f"accuracy {evaluation.accuracy:.4f} ({evaluation.correct} of {evaluation.total}), "
        f"95 % interval {low:.3f} to {high:.3f}, "
        f"balanced accuracy {evaluation.balanced_accuracy:.4f}"
    )
    return lines
