"""Datasets over data in memory, and subclasses of one's own."""

from __future__ import annotations

import numpy as np
import pytest

from neurenix.data import Dataset, Subset
from neurenix.data.dataset import class_labels
from neurenix.tensor import Tensor


def test_lists_arrays_and_tensors() -> None:
    array = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    for data in (list(array), array, Tensor(array)):
        dataset = Dataset(data, labels=[5, 6, 7])
        assert len(dataset) == 3
        sample, label = dataset[1]
        assert np.asarray(sample.tolist()).tolist() == [2.0, 3.0]
        assert label == 6


def test_without_labels_a_sample_comes_alone() -> None:
    assert Dataset([1, 2, 3])[2] == 3


def test_iteration_ends() -> None:
    assert list(Dataset([1, 2], [3, 4])) == [(1, 3), (2, 4)]


def test_the_transform_sees_samples_and_never_labels() -> None:
    dataset = Dataset([1, 2], labels=[10, 20], transform=lambda x: x * 100)
    assert dataset[0] == (100, 10)
    dataset.transform = None
    assert dataset[0] == (1, 10)


def test_indices() -> None:
    dataset = Dataset([1, 2, 3])
    assert dataset[-1] == 3
    assert dataset[np.int64(1)] == 2
    for index in (3, -4):
        with pytest.raises(IndexError, match="of a dataset of 3 samples"):
            dataset[index]
    with pytest.raises(TypeError, match="Subset"):
        dataset[0:2]  # type: ignore[index]
    with pytest.raises(TypeError):
        dataset[0.5]  # type: ignore[index]


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="2 labels for 3 samples"):
        Dataset([1, 2, 3], labels=[1, 2])
    with pytest.raises(TypeError, match="got int"):
        Dataset(5)
    with pytest.raises(TypeError, match="got str"):
        Dataset("photos/train")
    with pytest.raises(TypeError, match="without one"):
        Dataset(Tensor(1.0))
    with pytest.raises(TypeError, match="Compose"):
        Dataset([1], transform=[abs])  # type: ignore[arg-type]


def test_a_subclass_need_not_call_super() -> None:
    class Squares(Dataset):
        def __init__(self, count: int) -> None:
            self.count = count

        def __len__(self) -> int:
            return self.count

        def __getitem__(self, index: int) -> int:
            return index**2

    dataset = Squares(4)
    assert len(dataset) == 4
    assert dataset[3] == 9
    assert dataset.labels is None
    assert dataset.transform is None
    assert repr(dataset) == "Squares(samples=4)"


def test_a_subclass_may_set_the_data_itself() -> None:
    class Mine(Dataset):
        def __init__(self) -> None:
            self.data = [1, 2]
            self.labels = [3, 4]

    assert Mine()[1] == (2, 4)


def test_a_subclass_that_defines_nothing_says_so() -> None:
    class Nothing(Dataset):
        def __init__(self) -> None:
            pass

    with pytest.raises(TypeError, match="Nothing has no data: define __len__ and __getitem__"):
        len(Nothing())


def test_subset() -> None:
    dataset = Dataset([10, 11, 12, 13], labels=[0, 1, 0, 1], transform=str)
    subset = Subset(dataset, [3, -4, 3])
    assert list(subset) == [("13", 1), ("10", 0), ("13", 1)]
    assert subset.labels == [1, 0, 1]
    assert subset.indices == [3, 0, 3]
    assert list(Subset(subset, [1])) == [("10", 0)]
    with pytest.raises(IndexError, match="sample 4 of a dataset of 4"):
        Subset(dataset, [4])
    with pytest.raises(IndexError):
        subset[3]


def test_subset_of_a_list() -> None:
    assert list(Subset(["a", "b"], [1])) == ["b"]


def test_class_labels() -> None:
    for labels in (
        [0, 2, 1],
        [0.0, 2.0, 1.0],
        np.array([[0], [2], [1]]),
        Tensor([0, 2, 1]),
        [Tensor([0]), Tensor(2), np.array(1)],
    ):
        assert class_labels(labels) == [0, 2, 1]
    with pytest.raises(ValueError, match="sample 1"):
        class_labels([0, 0.5])
    with pytest.raises(ValueError, match="sample 0"):
        class_labels([[0, 1]])
