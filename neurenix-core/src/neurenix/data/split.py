"""Dividing a dataset into parts, by chance or class by class."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from neurenix.data.dataset import Subset, class_labels
from neurenix.data.draws import permutation
from neurenix.random import Generator


def random_split(dataset: Any, lengths: Sequence[float], seed: int = 0) -> list[Subset]:
    """Divide a dataset at random.

    Args:
        dataset: The dataset.
        lengths: The sizes of the parts: whole numbers that sum to the length of the dataset, or
            fractions that sum to 1 (what rounding leaves over goes to the first parts).
        seed: The same seed gives the same parts.

    Returns:
        One Subset a length.

    Raises:
        ValueError: The lengths do not sum to the dataset's length, or to 1.
    """
    count = len(dataset)
    if all(isinstance(length, int) for length in lengths) and sum(lengths) == count:
        sizes = [int(length) for length in lengths]
    elif abs(sum(lengths) - 1.0) < 1e-6:
        sizes = [int(count * length) for length in lengths]
        for part in range(count - sum(sizes)):
            sizes[part % len(sizes)] += 1
    else:
        raise ValueError(
            f"expected lengths that sum to the {count} samples of the dataset, or to 1, "
            f"got {list(lengths)}, which sum to {sum(lengths)}"
        )
    if min(sizes) < 0:
        raise ValueError(f"expected lengths of at least 0, got {list(lengths)}")
    order = permutation(count, Generator(seed))
    ends = [sum(sizes[: part + 1]) for part in range(len(sizes))]
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def stratified_split(
    dataset: Any, fraction: float, seed: int = 0, groups: Sequence[Hashable] | None = None
) -> tuple[Subset, Subset]:
    """Set aside a fraction of each class.

    Args:
        dataset: A dataset with ``labels``.
        fraction: The part of each class to set aside, above 0 and below 1.
        seed: The same seed gives the same parts.
        groups: A key a sample; samples of one key stay together.

    Returns:
        The larger part and the part set aside, both in the order of the dataset.

    Raises:
        ValueError: The dataset has no labels, or the fraction is out of range.
    """
    labels = getattr(dataset, "labels", None)
    if labels is None:
        raise ValueError(
            "expected a dataset with labels, of which a fraction of each class can be taken; "
            "random_split needs none"
        )
    kept, aside = stratified_indices(class_labels(labels), fraction, seed, groups)
    return Subset(dataset, kept), Subset(dataset, aside)


def stratified_indices(
    labels: Sequence[int],
    fraction: float,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> tuple[list[int], list[int]]:
    """Choose, class by class, which samples to set aside.

    Of a class of n samples, the whole number nearest to ``fraction * n`` is set aside, but at
    least one and never all; a class of one sample is kept. With groups it is the nearest number
    from below that whole groups can make. A group that spans several classes is kept.

    Args:
        labels: The class of each sample.
        fraction: The part to set aside, above 0 and below 1.
        seed: The same seed gives the same choice. It does not depend on other classes.
        groups: A key a sample; samples of one key stay together.

    Returns:
        The indices kept and the indices set aside, each in ascending order.

    Raises:
        ValueError: The fraction is out of range, or there are more or fewer groups than labels.
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"expected a fraction above 0 and below 1, got {fraction}")
    keys: Sequence[Hashable] = range(len(labels)) if groups is None else groups
    if len(keys) != len(labels):
        raise ValueError(f"expected one group a sample, got {len(keys)} for {len(labels)} samples")
    members: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        members.setdefault(key, []).append(index)
    by_class: dict[int, list[list[int]]] = {}
    for group in members.values():
        if len({labels[index] for index in group}) == 1:
            by_class.setdefault(labels[group[0]], []).append(group)
    totals = {label: labels.count(label) for label in by_class}
    aside: set[int] = set()
    for label, candidates in by_class.items():
        target = min(max(1, int(totals[label] * fraction + 0.5)), totals[label] - 1)
        order = permutation(len(candidates), Generator(seed).fork(label))
        aside.update(_take([candidates[position] for position in order], target, totals[label]))
    return [index for index in range(len(labels)) if index not in aside], sorted(aside)


def _take(groups: list[list[int]], target: int, total: int) -> list[int]:
    taken: list[int] = []
    for group in groups:
        if len(taken) + len(group) <= target:
            taken += group
    if taken or target == 0:
        return taken
    # Every group is larger than wanted: the smallest one, unless it is the whole class.
    smallest = min(groups, key=len)
    return smallest if len(smallest) < total else []
