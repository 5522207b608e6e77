"""The handwritten digits that scikit-learn carries: 1,797 of them, 8 x 8 pixels each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurenix import Generator, randperm
from neurenix.errors import require

_BRIGHTEST = 16.0  # pixels count the ink in 4 x 4 cells of the scan


@dataclass(frozen=True)
class Digits:
    """Some digits.

    Attributes:
        images: Ink from 0 to 1.
        labels: Their classes, counted from 0.
        names: What the classes are called.

    Shape:
        images (N, 1, 8, 8), labels (N,).
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, chosen: npt.NDArray[np.int64]) -> Digits:
        """Return some of them."""
        return Digits(self.images[chosen], self.labels[chosen], self.names)

    def draw(self, per_class: int, seed: int) -> tuple[Digits, Digits]:
        """Draw so many of each class, by chance; return them, and all others."""
        drawn: list[int] = []
        for label in range(len(self.names)):
            members = np.flatnonzero(self.labels == label)
            order = randperm(len(members), generator=Generator(seed).fork(label)).numpy()
            drawn += members[order[:per_class]].tolist()
        chosen = np.array(sorted(drawn), np.int64)
        others = np.setdiff1d(np.arange(len(self)), chosen)
        return self.select(chosen), self.select(others)


def load_digits() -> tuple[Digits, Digits]:
    """Return the digits 0 to 4, and the digits 5 to 9.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    datasets = require(
        "sklearn.datasets", install='pip install "neurenix[demo]"', purpose="the demo's digits"
    )
    bunch = datasets.load_digits()
    images = (bunch.images[:, None] / _BRIGHTEST).astype(np.float32)
    halves = []
    for first in (0, 5):
        of_half = (bunch.target >= first) & (bunch.target < first + 5)
        names = tuple(str(digit) for digit in range(first, first + 5))
        labels = bunch.target[of_half].astype(np.int64) - first
        halves.append(Digits(images[of_half], labels, names))
    return halves[0], halves[1]
