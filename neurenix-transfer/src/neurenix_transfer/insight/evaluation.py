"""How good predictions are: accuracy with its uncertainty, figures a class, confusion."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurenix_transfer.insight.reliability import (
    BINS,
    ReliabilityBin,
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
        labels: The true class of each sample.
        probabilities: The predicted probability of each class for each sample.
        paths: The files of the samples; empty where they have none.

    Shape:
        labels (N,), probabilities (N, C).
    """

    classes: tuple[str, ...]
    labels: npt.NDArray[np.int64] = field(repr=False)
    probabilities: npt.NDArray[np.float64] = field(repr=False)
    paths: tuple[Path, ...] = field(default=(), repr=False)

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The most probable class of each sample."""
        most_probable: npt.NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return most_probable

    @property
    def total(self) -> int:
        """How many samples there are."""
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
        """Counts of samples by true class (row) and predicted class (column)."""
        counts = np.zeros((len(self.classes), len(self.classes)), np.int64)
        np.add.at(counts, (self.labels, self.predicted), 1)
        return counts

    @property
    def recall(self) -> dict[str, float | None]:
        """For each class the share of its samples predicted right; None where it has none."""
        return self._shares(self.confusion.sum(axis=1))

    @property
    def precision(self) -> dict[str, float | None]:
        """For each class the share right of what is taken for it; None where nothing is."""
        return self._shares(self.confusion.sum(axis=0))

    @property
    def f1(self) -> dict[str, float | None]:
        """For each class the harmonic mean of both; None where it neither is nor is predicted."""
        counts = self.confusion
        return self._shares((counts.sum(axis=0) + counts.sum(axis=1)) / 2)

    @property
    def support(self) -> dict[str, int]:
        """For each class the number of its samples."""
        counts = self.confusion.sum(axis=1)
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have samples."""
        known = [recall for recall in self.recall.values() if recall is not None]
        return sum(known) / len(known)

    @property
    def loss(self) -> float:
        """The mean cross-entropy."""
        return negative_log_likelihood(self.probabilities, self.labels)

    @property
    def calibration_error(self) -> float:
        """The expected calibration error, over 15 bins of equal width."""
        return expected_calibration_error(self.probabilities, self.labels)

    def reliability(self, bins: int = BINS) -> list[ReliabilityBin]:
        """Return confidence beside accuracy, in bins of confidence."""
        return reliability(self.probabilities, self.labels, bins)

    def most_wrong(self, count: int) -> list[int]:
        """Return the numbers of wrongly predicted samples, the most wrong first.

        The most wrong is the one whose true class was held the least probable.

        Args:
            count: How many at most.
        """
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
            "precision": self.precision,
            "f1": self.f1,
            "loss": self.loss,
            "calibration_error": self.calibration_error,
            "confusion": self.confusion.tolist(),
        }

    def plot(self, save: str | Path | None = None) -> Figure:
        """Draw the confusion matrix: counts, coloured by the share of the true class.

        Args:
            save: A file to write the figure to; its extension says the format.

        Raises:
            MissingDependencyError: Matplotlib is not installed.
        """
        # Drawn as in the picture of a run; that file imports this one.
        from neurenix_transfer.insight.drawing import confusion_figure

        figure = confusion_figure(self)
        if save is not None:
            file = Path(save)
            file.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(file)
        return figure

    def __str__(self) -> str:
        width = max(len("class"), *(len(name) for name in self.classes))
        lines = [f"{'class':<{width}}  samples   recall  precision      f1"]
        for name, count in self.support.items():
            shown = [
                "-" if share is None else f"{share:.4f}"
                for share in (self.recall[name], self.precision[name], self.f1[name])
            ]
            lines.append(
                f"{name:<{width}}  {count:>7}  {shown[0]:>7}  {shown[1]:>9}  {shown[2]:>6}"
            )
        return "\n".join([*lines, self.accuracy_line()])

    def accuracy_line(self) -> str:
        """Return both accuracies in a line, with their counts and the interval."""
        low, high = self.interval
        return (
            f"accuracy {self.accuracy:.4f} ({self.correct} of {self.total}), "
            f"95 % interval {low:.3f} to {high:.3f}, "
            f"balanced accuracy {self.balanced_accuracy:.4f}"
        )

    def _shares(self, of: npt.NDArray[Any]) -> dict[str, float | None]:
        right = np.diagonal(self.confusion)
        return {
            name: float(hits / whole) if whole else None
            for name, hits, whole in zip(self.classes, right, of, strict=True)
        }
