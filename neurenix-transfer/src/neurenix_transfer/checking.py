"""What is checked about training data before the first step.

Every error names the argument and the sample, and comes before anything has been changed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from neurenix import Tensor
from neurenix.data import DataLoader, default_collate
from neurenix.errors import NeurenixError
from neurenix_transfer.padding import Padding, are_ragged_rows
from neurenix_transfer.sources import (
    Array,
    FromIterable,
    FromLoader,
    InMemory,
    Inputs,
    Source,
)


class DataError(NeurenixError, ValueError):
    """Training or validation data that cannot be used as they are."""


@dataclass
class CheckedData:
    """Data that passed the checks.

    Attributes:
        source: Where their batches come from.
        labels: All labels, ``(N,)`` or ``(N, ...)``.
        first: The inputs of the first sample (or batch), to try the model with.
        shape: The shape of a sample; None where samples may differ.
    """

    source: Source
    labels: Array
    first: Inputs
    shape: tuple[int, ...] | None


Stored: TypeAlias = Callable[[str, FromLoader, Inputs], Collection[int]]
"""``(kind, data, inputs of the first sample) -> samples that an earlier run has checked``."""


def check_data(
    data: Any,
    labels: Any,
    kind: str,
    batch_size: int,
    shuffle: bool,
    seed: int,
    stored: Stored | None = None,
    padding: Padding | None = None,
) -> CheckedData:
    """Check one set of data, and make it a source of batches.

    Args:
        data: Samples: a tensor or an array of all, a list of them, a Dataset, a DataLoader, or
            anything that gives batches each time it is iterated over.
        labels: One label a sample, where the data do not bring their own.
        kind: ``"train"`` or ``"val"``, for the names in errors.
        batch_size: Samples a batch, where the data are not in batches already.
        shuffle: Whether each epoch has an order of its own, likewise.
        seed: What the orders depend on.
        stored: Tells which samples need not be read, as their features are cached already; it is
            asked only where the labels are known without.
        padding: How rows of token ids of different lengths are filled up; None refuses them.

    Raises:
        DataError: Something does not fit.
        TypeError: Something is of the wrong kind.
    """
    name = f"{kind}_data"
    known = _is_map(data) or hasattr(data, "__iter__")
    if not known or isinstance(data, str | bytes | dict | set):
        raise TypeError(
            f"{name} is a {type(data).__name__}; expected a list of tensors or arrays, one "
            "tensor or array of all samples, a Dataset or a DataLoader"
        )
    if isinstance(data, Tensor | np.ndarray | list | tuple):
        return _check_memory(data, labels, kind, batch_size, shuffle, seed, padding)
    if labels is not None:
        raise DataError(
            f"{kind}_labels were given, but {name} is a {type(data).__name__}, which brings its "
            f"own labels. Leave {kind}_labels out"
        )
    if _is_map(data) and not isinstance(data, DataLoader):
        _check_not_empty(len(data), name)
        data = DataLoader(data, batch_size, shuffle, seed=seed)
    if isinstance(data, DataLoader):
        return _check_loader(_seeded(data, seed), kind, stored)
    return _check_iterable(data, name)


def check_same_shape(train: CheckedData, val: CheckedData) -> None:
    """Check that validation samples look like training samples.

    Raises:
        DataError: Their shapes differ.
    """
    if None not in (train.shape, val.shape) and train.shape != val.shape:
        raise DataError(
            f"val_data has samples of shape {val.shape}, train_data of shape {train.shape}; "
            "the model needs one shape"
        )


def labels_array(labels: Any, name: str) -> Array:
    """Bring labels in any form into one array, ``(N,)`` or ``(N, ...)``.

    Labels of shape ``(1,)`` become numbers: ``(N, 1)`` would broadcast against ``(N,)``.

    Raises:
        DataError: They are no numbers, or differ in shape.
    """
    if isinstance(labels, Tensor):
        array = labels.numpy()
    elif isinstance(labels, np.ndarray):
        array = labels
    else:
        each = [
            label.numpy() if isinstance(label, Tensor) else np.asarray(label) for label in labels
        ]
        _check_shapes([label.shape for label in each], name)
        array = np.stack(each) if each else np.empty(0)
    if array.dtype.kind in "OUSMm":
        raise DataError(
            f"{name} are {array.dtype}; expected numbers. Number the classes: "
            f"names = sorted(set(labels)); labels = [names.index(label) for label in labels]"
        )
    if array.ndim == 0:
        raise DataError(f"{name} is a single number; expected one label a sample")
    return array.reshape(len(array)) if array.shape[1:] == (1,) else array


def _check_memory(
    data: Any,
    labels: Any,
    kind: str,
    batch_size: int,
    shuffle: bool,
    seed: int,
    padding: Padding | None,
) -> CheckedData:
    name = f"{kind}_data"
    align = None
    shape: tuple[int, ...] | None
    if isinstance(data, Tensor | np.ndarray) and data.ndim == 0:
        raise DataError(f"{name} is a single number; its first axis must count the samples")
    if labels is None and isinstance(data, list | tuple):
        data, labels = _split_pairs(data, kind)
    if labels is None:
        raise DataError(f"{name} came without {kind}_labels; expected one label a sample")
    _check_not_empty(len(data), name)
    array = labels_array(labels, f"{kind}_labels")
    if len(array) != len(data):
        raise DataError(
            f"{name} has {len(data)} samples and {kind}_labels {len(array)} labels; "
            "expected one label a sample"
        )
    if isinstance(data, Tensor | np.ndarray):
        shape = tuple(data.shape[1:])
    else:
        data = [x if isinstance(x, Tensor | np.ndarray) else _numbers(x) for x in data]
        if padding is not None and are_ragged_rows(data):
            data, shape, align = padding.filled(data), None, padding.aligned
        else:
            shape = _check_shapes([tuple(x.shape) for x in data], name)
    source = InMemory(name, data, array, batch_size, shuffle, seed, align)
    return CheckedData(source, array, source.gather([0]), shape)


def _split_pairs(data: Any, kind: str) -> tuple[Any, Any]:
    """Take a list of (sample, label) pairs apart."""
    if data and all(isinstance(item, tuple) and len(item) == 2 for item in data):
        return [item[0] for item in data], [item[1] for item in data]
    return data, None


def _check_loader(loader: DataLoader, kind: str, stored: Stored | None) -> CheckedData:
    name = f"{kind}_data"
    if len(loader) == 0:
        raise DataError(
            f"{name} gives no batch: {len(loader.dataset)} samples, batch_size="
            f"{loader.batch_size} and drop_last. Take smaller batches, or keep the last one"
        )
    source = FromLoader(name, loader)
    first = next(source.one_by_one([0]))
    known = set() if stored is None else {*stored(kind, source, first.inputs)} - {0}
    labels = [first.labels.numpy()]
    # Samples that a collate function of the user's brings to one shape may differ before.
    one_shape = loader.collate_fn is default_collate
    count = len(loader.dataset)
    unread = source.one_by_one(n for n in range(1, count) if n not in known)
    for number in range(1, count):
        if number in known:
            labels.append(np.array(loader.dataset.labels[number : number + 1], np.int64))
            continue
        batch = next(unread)
        labels.append(batch.labels.numpy())
        if one_shape and _shape(batch.inputs) != _shape(first.inputs):
            raise DataError(
                f"{name}[{number}] has the shape {_shape(batch.inputs)}, "
                f"{name}[0] {_shape(first.inputs)}; expected one shape"
            )
    _check_shapes([label.shape[1:] for label in labels], f"the labels of {name}")
    shape = _shape(first.inputs) if one_shape else None
    source.labels = np.concatenate(labels)
    return CheckedData(source, source.labels, first.inputs, shape)


def _check_iterable(data: Any, name: str) -> CheckedData:
    if iter(data) is data:
        raise TypeError(
            f"{name} is a {type(data).__name__}, which can be read only once, and every epoch "
            "reads it again. Pass a list, a Dataset or a DataLoader"
        )
    source = FromIterable(name, data)
    labels = []
    first: Inputs = None
    for batch in source.batches(0):
        first = batch.inputs if first is None else first
        labels.append(batch.labels.numpy())
    if not labels:
        raise DataError(f"{name} gives no batch; expected at least one")
    _check_shapes([label.shape[1:] for label in labels], f"the labels of {name}", "batch")
    return CheckedData(source, np.concatenate(labels), first, None)


def _seeded(loader: DataLoader, seed: int) -> DataLoader:
    """Give a loader without a seed of its own the one of the training."""
    if loader.seed is None:
        loader = copy.copy(loader)
        loader.seed = seed
    return loader


def _is_map(data: Any) -> bool:
    return hasattr(data, "__len__") and hasattr(data, "__getitem__")


def _check_not_empty(count: int, name: str) -> None:
    if count == 0:
        raise DataError(f"{name} is empty; expected at least one sample")


def _check_shapes(shapes: list[tuple[int, ...]], name: str, unit: str = "") -> tuple[int, ...]:
    """Return the one shape that all have, or raise naming the first that differs."""
    for number, shape in enumerate(shapes):
        if shape != shapes[0]:
            where = f"{name}: {unit} {number}" if unit else f"{name}[{number}]"
            raise DataError(
                f"{where} has the shape {shape}, the first has {shapes[0]}; expected one shape"
            )
    return shapes[0] if shapes else ()


def _numbers(sample: Any) -> Array:
    array = np.asarray(sample)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _shape(inputs: Inputs) -> tuple[int, ...] | None:
    return tuple(inputs.shape[1:]) if isinstance(inputs, Tensor) else None
