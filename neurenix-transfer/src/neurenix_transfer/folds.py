"""Folds for cross-validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurenix import Generator
from neurenix.data.draws import permutation
from neurenix_transfer.sources import Array


def make_folds(
    count: int,
    folds: int,
    seed: int,
    classes: Array | None = None,
    groups: Sequence[int] | None = None,
) -> list[Array]:
    """Divide samples into parts of nearly the same size, each of which is held out once.

    With classes, each fold has nearly its share of each. A class of a single sample is held out
    nowhere, so that whatever a model is tested on, it has seen one of its class. With groups, the
    samples of one are held out together; a class of a single group, and a group that spans
    several classes, are held out nowhere.

    Args:
        count: The number of samples.
        folds: The number of parts; fewer where there are not enough samples to hold out.
        seed: The same seed gives the same parts.
        classes: The class of each sample, ``(count,)``; None deals samples regardless of any.
        groups: A number a sample; samples of one number stay together.

    Returns:
        The samples of each part, in ascending order. No part is empty.

    Raises:
        ValueError: There are fewer than two folds, or fewer than two samples to hold out.
    """
    if folds < 2:
        raise ValueError(f"cross-validation needs at least 2 folds, not {folds}")
    numbers = np.arange(count) if groups is None else np.asarray(groups)
    if len(numbers) != count:
        raise ValueError(f"expected one group a sample, got {len(numbers)} for {count} samples")
    parts: list[list[int]] = [[] for _ in range(folds)]
    for deck in _decks(_members(numbers), seed, classes):
        # To the fold that has the fewest of the class, and of all: neither is dealt unevenly.
        dealt = [0] * folds
        for group in deck:
            fold = min(range(folds), key=lambda place: (dealt[place], len(parts[place]), place))
            parts[fold] += group
            dealt[fold] += len(group)
    held_out = [np.sort(np.array(part, dtype=np.int64)) for part in parts if part]
    if len(held_out) < 2:
        different = "" if groups is None else " different ones"
        raise ValueError(
            f"{count} samples cannot be cross-validated: expected two{different} of a class at "
            "least"
        )
    return held_out


def _members(groups: Array) -> list[list[int]]:
    """Return the samples of each group, in order of first appearance."""
    members: dict[int, list[int]] = {}
    for sample, group in enumerate(groups.tolist()):
        members.setdefault(group, []).append(sample)
    return list(members.values())


def _decks(groups: list[list[int]], seed: int, classes: Array | None) -> list[list[list[int]]]:
    """Return the groups to hold out, class by class, shuffled."""
    if classes is None:
        return [[groups[place] for place in permutation(len(groups), Generator(seed))]]
    by_class: dict[int, list[list[int]]] = {int(label): [] for label in np.unique(classes)}
    for group in groups:
        labels = {int(classes[sample]) for sample in group}
        if len(labels) == 1:
            by_class[labels.pop()].append(group)
    return [
        [candidates[place] for place in permutation(len(candidates), _stream(seed, label))]
        for label, candidates in by_class.items()
        if len(candidates) > 1
    ]


def _stream(seed: int, label: int) -> Generator:
    return Generator(seed).fork("folds", label)
