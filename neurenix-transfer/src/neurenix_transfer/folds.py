"""Folds for cross-validation."""

from __future__ import annotations

import numpy as np

from neurenix import Generator
from neurenix.data.draws import permutation
from neurenix_transfer.sources import Array


def make_folds(count: int, folds: int, seed: int, classes: Array | None = None) -> list[Array]:
    """Divide samples into parts of nearly the same size, each of which is held out once.

    With classes, each fold has nearly its share of each. A class of a single sample is held out
    nowhere, so that whatever a model is tested on, it has seen one of its class.

    Args:
        count: The number of samples.
        folds: The number of parts; fewer where there are not enough samples to hold out.
        seed: The same seed gives the same parts.
        classes: The class of each sample, ``(count,)``; None deals samples regardless of any.

    Returns:
        The samples of each part, in ascending order. No part is empty.

    Raises:
        ValueError: There are fewer than two folds, or fewer than two samples to hold out.
    """
    if folds < 2:
        raise ValueError(f"cross-validation needs at least 2 folds, not {folds}")
    if classes is None:
        decks = [permutation(count, Generator(seed))]
    else:
        decks = [
            [int(members[place]) for place in permutation(len(members), _stream(seed, label))]
            for label, members in _members(classes)
            if len(members) > 1
        ]
    dealt = [sample for deck in decks for sample in deck]
    # One after another around the table: neither a class nor the whole is dealt unevenly.
    parts = [np.sort(np.array(dealt[first::folds], dtype=np.int64)) for first in range(folds)]
    parts = [part for part in parts if part.size]
    if len(parts) < 2:
        raise ValueError(
            f"{count} samples cannot be cross-validated: expected two of a class at least"
        )
    return parts


def _members(classes: Array) -> list[tuple[int, Array]]:
    return [(int(label), np.flatnonzero(classes == label)) for label in np.unique(classes)]


def _stream(seed: int, label: int) -> Generator:
    return Generator(seed).fork("folds", label)
