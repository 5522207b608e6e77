"""Datasets: anything with a length and numbered samples."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neurenix.tensor import Tensor


class Dataset:
    """Samples by number, with labels and a transform where there are any.

    It can be used as it is, over data that are already in memory, or be subclassed; a subclass
    defines ``__len__`` and ``__getitem__`` and need not call ``super().__init__()``.

    Args:
        data: The samples: a list, a tensor or an array (its first axis counts the samples), or
            anything else with a length and items.
        labels: One label a sample, in the same forms; None for data without labels.
        transform: Applied to a sample each time it is read, never to its label.

    Raises:
        TypeError: ``data`` or ``labels`` cannot be counted or indexed.
        ValueError: There is another number of labels than of samples.

    Examples:
        >>> from neurenix.data import Dataset
        >>> dataset = Dataset([[1.0, 2.0], [3.0, 4.0]], labels=[0, 1])
        >>> dataset[1]
        ([3.0, 4.0], 1)
    """

    # For subclasses that do not call __init__.
    data: Any = None
    labels: Any = None
    transform: Callable[[Any], Any] | None = None

    def __init__(
        self, data: Any, labels: Any = None, transform: Callable[[Any], Any] | None = None
    ) -> None:
        count = _count(data, "data")
        if labels is not None and _count(labels, "labels") != count:
            raise ValueError(
                f"expected one label a sample, got {_count(labels, 'labels')} labels "
                f"for {count} samples"
            )
        if transform is not None and not callable(transform):
            raise TypeError(
                f"expected transform to be callable, got {type(transform).__name__}; "
                "several transforms are joined by Compose([...])"
            )
        self.data = data
        self.labels = labels
        self.transform = transform

    def __len__(self) -> int:
        if self.data is None:
            raise TypeError(
                f"{type(self).__name__} has no data: define __len__ and __getitem__, "
                "or call super().__init__(data, labels)"
            )
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        """The sample of this number, or the pair (sample, label) if there are labels."""
        position = checked_index(index, len(self))
        sample = self.data[position]
        if self.transform is not None:
            sample = self.transform(sample)
        if self.labels is None:
            return sample
        return sample, self.labels[position]

    def __repr__(self) -> str:
        lines = [f"samples={len(self)}"]
        if self.transform is not None:
            lines.append(f"transform={self.transform!r}")
        return f"{type(self).__name__}({', '.join(lines)})"


class Subset(Dataset):
    """Some samples of another dataset, in a given order.

    Args:
        dataset: The dataset to choose from; it keeps its own transform.
        indices: The numbers of the samples to keep.

    Raises:
        IndexError: An index lies outside of the dataset.
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        count = _count(dataset, "dataset")
        self.dataset = dataset
        self.indices = [checked_index(index, count) for index in indices]
        labels = getattr(dataset, "labels", None)
        if labels is not None:
            self.labels = [labels[index] for index in self.indices]

    @property
    def collate_fn(self) -> Callable[[list[Any]], Any] | None:
        """What joins samples of the whole dataset into a batch; None for the default."""
        return getattr(self.dataset, "collate_fn", None)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        """The sample of this number, as the whole dataset gives it."""
        return self.dataset[self.indices[checked_index(index, len(self))]]

    def __repr__(self) -> str:
        return f"Subset(samples={len(self)}, dataset={self.dataset!r})"


def checked_index(index: Any, count: int) -> int:
    """Turn an index, perhaps negative, into a position from 0 to ``count - 1``.

    Raises:
        TypeError: The index is no integer.
        IndexError: It lies outside; ``for sample in dataset`` ends by it.
    """
    if isinstance(index, slice):
        raise TypeError("expected the number of one sample; Subset(dataset, indices) takes several")
    position = operator.index(index)
    if not -count <= position < count:
        raise IndexError(f"sample {position} of a dataset of {count} samples")
    return position % count


def class_labels(labels: Any) -> list[int]:
    """Bring class labels (numbers, arrays or tensors of one element) into a list of integers.

    Raises:
        ValueError: A label is no whole number.
    """
    if isinstance(labels, Tensor):
        labels = labels.numpy()
    classes = []
    for position, label in enumerate(labels):
        value = np.asarray(label.numpy() if isinstance(label, Tensor) else label)
        if value.size != 1 or value.reshape(()) != int(value.reshape(())):
            raise ValueError(
                f"expected one whole number as the class of each sample, got {label!r} "
                f"for sample {position}"
            )
        classes.append(int(value.reshape(())))
    return classes


def _count(values: Any, name: str) -> int:
    if isinstance(values, str | bytes) or not hasattr(values, "__getitem__"):
        raise TypeError(
            f"expected {name} as a list, a tensor or an array, got {type(values).__name__}"
        )
    try:
        return len(values)
    except (TypeError, ValueError) as error:  # a tensor without axes
        raise TypeError(
            f"expected {name} with a length, got {type(values).__name__} without one"
        ) from error
