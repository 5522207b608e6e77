"""Dividing datasets."""

from __future__ import annotations

import pytest

from neurenix.data import Dataset, random_split, stratified_indices, stratified_split


def test_random_split_divides_everything() -> None:
    dataset = Dataset(list(range(10)))
    for lengths in ([7, 3], [0.7, 0.3]):
        parts = random_split(dataset, lengths, seed=1)
        assert [len(part) for part in parts] == [7, 3]
        assert sorted(sample for part in parts for sample in part) == list(range(10))


def test_random_split_depends_on_the_seed_only() -> None:
    dataset = Dataset(list(range(50)))
    first, again, other = (random_split(dataset, [40, 10], seed=seed) for seed in (1, 1, 2))
    assert first[1].indices == again[1].indices
    assert first[1].indices != other[1].indices
    assert first[0].indices != sorted(first[0].indices)


def test_random_split_rounds_down_and_gives_the_rest_to_the_first() -> None:
    parts = random_split(Dataset(list(range(11))), [0.5, 0.25, 0.25])
    assert [len(part) for part in parts] == [6, 3, 2]


def test_random_split_refuses_other_lengths() -> None:
    for lengths in ([5, 6], [0.5, 0.6], [11, -1]):
        with pytest.raises(ValueError, match="expected lengths"):
            random_split(Dataset(list(range(10))), lengths)


def test_a_fraction_of_each_class_is_set_aside() -> None:
    labels = [0] * 50 + [1] * 10 + [2] * 3 + [3]
    kept, aside = stratified_indices(labels, 0.2, seed=0)
    assert sorted(kept + aside) == list(range(len(labels)))
    assert kept == sorted(kept)
    assert aside == sorted(aside)
    counts = [sum(labels[index] == label for index in aside) for label in range(4)]
    assert counts == [10, 2, 1, 0]  # at least one, and never all


def test_a_class_is_never_set_aside_whole() -> None:
    kept, aside = stratified_indices([0, 0, 0], 0.99)
    assert (len(kept), len(aside)) == (1, 2)


def test_the_choice_depends_on_the_seed_and_not_on_other_classes() -> None:
    labels = [0] * 20
    aside = stratified_indices(labels, 0.3, seed=4)[1]
    assert stratified_indices(labels, 0.3, seed=4)[1] == aside
    assert stratified_indices(labels, 0.3, seed=5)[1] != aside
    assert stratified_indices([*labels, 1, 1, 1], 0.3, seed=4)[1][: len(aside)] == aside


@pytest.mark.parametrize("seed", range(10))
def test_groups_stay_together(seed: int) -> None:
    labels = [0] * 12 + [1] * 6
    groups = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, *range(6, 12)]
    kept, aside = stratified_indices(labels, 0.25, seed, groups)
    assert not {groups[index] for index in kept} & {groups[index] for index in aside}
    counts = [sum(labels[index] == label for index in aside) for label in range(2)]
    assert counts == [2, 2]  # of 3 wanted, pairs make 2; of 1.5 wanted, 2


def test_a_group_across_classes_is_kept() -> None:
    groups = ["twins", "a", "b", "c", "twins", "d", "e", "f"]
    for seed in range(10):
        kept, aside = stratified_indices([0] * 4 + [1] * 4, 0.75, seed, groups)
        assert kept == [0, 4]
        assert aside == [1, 2, 3, 5, 6, 7]


def test_groups_larger_than_wanted() -> None:
    labels = [0] * 10
    aside = stratified_indices(labels, 0.1, groups=[0] * 7 + [1] * 3)[1]
    assert aside == [7, 8, 9]
    assert stratified_indices(labels, 0.1, groups=[0] * 10)[1] == []


def test_wrong_arguments() -> None:
    for fraction in (0.0, 1.0, -0.5):
        with pytest.raises(ValueError, match="above 0 and below 1"):
            stratified_indices([0, 1], fraction)
    with pytest.raises(ValueError, match="one group a sample"):
        stratified_indices([0, 1], 0.5, groups=[0])
    with pytest.raises(ValueError, match="with labels"):
        stratified_split(Dataset([1, 2]), 0.5)


def test_stratified_split_of_a_dataset() -> None:
    dataset = Dataset(list("abcdef"), labels=[0, 1, 0, 1, 0, 1])
    train, val = stratified_split(dataset, 1 / 3, seed=0)
    assert sorted(val.labels) == [0, 1]
    assert sorted([*train, *val]) == sorted(dataset)
