"""Standardised features in the coordinates of their principal components.

A linear model of standardised features is the same model in any orthonormal coordinates, its L2
penalty included. In these the columns are orthogonal, and there are never more of them than
samples: what is fitted in them is well conditioned, and small where samples are few.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

# Features come in float32: a spread of this part of the mean is rounding.
_CONSTANT = 1e-6
# Of the largest variance. Eigenvalues of the Gram matrix are exact to about 1e-16 of the largest,
# and directions of so little variance would need enormous weights to matter.
_NEGLIGIBLE = 1e-11


class StandardBasis:
    """The standardisation and the principal components of a set of features.

    Args:
        features: The features.

    Attributes:
        coordinates: The samples in the basis, ``(N, R)``: R at most N - 1 and at most C.
        variances: The mean square of each coordinate, ``(R,)``.

    Shape:
        ``(N, C)``.
    """

    def __init__(self, features: Floats) -> None:
        self._mean = features.mean(axis=0)
        spread = features.std(axis=0)
        self._scale = np.where(spread > _CONSTANT * np.abs(self._mean), spread, np.inf)
        standard = self._standardise(features)
        count, width = standard.shape
        if count <= width:
            squares, left = np.linalg.eigh(standard @ standard.T)
            squares, left = _kept(squares, left)
            self.coordinates = left * np.sqrt(squares)
            self._basis = standard.T @ (left / np.sqrt(squares))
        else:
            squares, self._basis = _kept(*np.linalg.eigh(standard.T @ standard))
            self.coordinates = standard @ self._basis
        self.variances = squares / count

    def transform(self, features: Floats) -> Floats:
        """Return other features, ``(M, C)``, in the coordinates of the basis, ``(M, R)``."""
        out: Floats = self._standardise(features) @ self._basis
        return out

    def plain(self, weight: Floats, bias: Floats) -> tuple[Floats, Floats]:
        """Return a linear model of the coordinates as one of the features themselves.

        Args:
            weight: ``(K, R)``.
            bias: ``(K,)``.

        Returns:
            The weight, ``(K, C)``, and the bias, ``(K,)``.
        """
        plain = (weight @ self._basis.T) / self._scale
        return plain, bias - plain @ self._mean

    def _standardise(self, features: Floats) -> Floats:
        # Constant features have an infinite scale: they are 0, and so are their weights.
        out: Floats = (features - self._mean) / self._scale
        return out


def _kept(squares: Floats, vectors: Floats) -> tuple[Floats, Floats]:
    """Return the eigenvalues that are more than rounding, largest first, and their vectors."""
    order = np.argsort(squares)[::-1]
    order = order[squares[order] > _NEGLIGIBLE * squares.max(initial=0.0)]
    return squares[order], vectors[:, order]
