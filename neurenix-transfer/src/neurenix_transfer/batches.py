"""Batches of data in any form, read once, with or without labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeAlias

import numpy as np

from neurenix import Tensor
from neurenix.data import DataLoader
from neurenix_transfer.checking import DataError, labels_array
from neurenix_transfer.padding import Padding, are_ragged_rows
from neurenix_transfer.sources import InMemory, Inputs, as_pair, as_tensor, map_tensors

LabelledBatch: TypeAlias = tuple[Inputs, Tensor | None]


class Batches:
    """Batches of samples, in their order.

    Args:
        data: A tensor or an array ``(N, ...)``, a list of samples or of pairs (sample, label), a
            Dataset, a DataLoader, or anything that gives batches.
        labels: One label a sample, where the data do not bring their own; None otherwise.
        batch_size: Samples a batch; a DataLoader has its own.
        padding: How rows of token ids of different lengths in a list are filled up.

    Attributes:
        count: The number of batches; None where it cannot be known.

    Raises:
        DataError: The data are empty, or do not fit the labels.
        TypeError: They are none of these.
    """

    def __init__(
        self,
        data: Any,
        labels: Any = None,
        batch_size: int = 32,
        padding: Padding | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is at least 1, not {batch_size}")
        if isinstance(data, str | bytes | dict | set) or not (
            isinstance(data, Tensor | Iterable) or hasattr(data, "__getitem__")
        ):
            raise TypeError(
                f"data is a {type(data).__name__}; expected a list of tensors or arrays, one "
                "tensor or array of all samples, a Dataset or a DataLoader"
            )
        self._source: InMemory | None = None
        self._batches: Any = ()
        self.count: int | None = None
        self._has_labels = labels is not None
        self._padding = padding
        if isinstance(data, Tensor | np.ndarray | list | tuple):
            self._take_samples(data, labels, batch_size)
            return
        if labels is not None:
            raise DataError(
                f"labels were given, but data is a {type(data).__name__}, which brings its own. "
                "Leave labels out"
            )
        if isinstance(data, DataLoader):
            self._take_loader(data)
        elif isinstance(data, Sized) and hasattr(data, "__getitem__"):
            _check_not_empty(len(data))
            self._take_loader(DataLoader(data, batch_size))
        else:
            self._batches = data

    def _take_loader(self, loader: DataLoader) -> None:
        self.count = len(loader)
        self._batches = loader.load(loader.batch_indices(0), 0)

    def _take_samples(self, data: Any, labels: Any, batch_size: int) -> None:
        if labels is None and isinstance(data, list | tuple) and _are_pairs(data):
            self._has_labels = True
            data, labels = [sample for sample, _ in data], [label for _, label in data]
        if isinstance(data, Tensor | np.ndarray) and data.ndim == 0:
            raise DataError("data is a single number; its first axis must count the samples")
        _check_not_empty(len(data))
        array = np.zeros(len(data)) if labels is None else labels_array(labels, "labels")
        if len(array) != len(data):
            raise DataError(
                f"data has {len(data)} samples and labels {len(array)} labels; "
                "expected one label a sample"
            )
        if isinstance(data, list | tuple):
            data = [each if isinstance(each, Tensor) else _floats(each) for each in data]
        align = None
        if self._padding is not None and isinstance(data, list) and are_ragged_rows(data):
            data, align = self._padding.filled(data), self._padding.aligned
        self._source = InMemory("data", data, array, batch_size, False, 0, align)
        self.count = self._source.steps()

    def __iter__(self) -> Iterator[LabelledBatch]:
        """Yield inputs and labels, the latter None where there are none."""
        if self._source is not None:
            for batch in self._source.batches(0):
                yield batch.inputs, batch.labels if self._has_labels else None
            return
        for item in self._batches:
            if isinstance(item, tuple | list) and len(item) == 2:
                yield as_pair(item, "data")
            else:
                yield map_tensors(as_tensor, item), None


def _check_not_empty(count: int) -> None:
    if count == 0:
        raise DataError("data is empty; expected at least one sample")


def _are_pairs(data: Any) -> bool:
    return all(isinstance(item, tuple) and len(item) == 2 for item in data) and len(data) > 0


def _floats(sample: Any) -> Any:
    array = np.asarray(sample)
    return array.astype(np.float32) if array.dtype == np.float64 else array
