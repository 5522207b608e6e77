"""The unbiased HSIC: how much the similarities that two sets of features see have in common."""

from __future__ import annotations

import numpy as np

from neurenix_transfer.sources import Array

FEWEST = 4
"""Samples that it takes: the estimate divides by n (n - 3)."""


def gram(features: Array) -> Array:
    """Return the inner products of all pairs of samples, with zeros for a sample and itself.

    Shape:
        ``(N, P)`` to ``(N, N)``.
    """
    # Centring changes nothing in exact arithmetic; it keeps a large common mean from eating digits.
    centred = features - features.mean(axis=0)
    products: Array = centred @ centred.T
    np.fill_diagonal(products, 0.0)
    return products


def unbiased_hsic(k: Array, m: Array) -> float:
    """Return the unbiased estimate of HSIC from two Gram matrices without their diagonals.

    Reference:
        Song et al., "Feature Selection via Dependence Maximization", 2012.
    """
    n = len(k)
    trace = float((k * m).sum())
    sums = float(k.sum()) * float(m.sum()) / ((n - 1) * (n - 2))
    rows = 2.0 * float(k.sum(axis=0) @ m.sum(axis=0)) / (n - 2)
    return (trace + sums - rows) / (n * (n - 3))
