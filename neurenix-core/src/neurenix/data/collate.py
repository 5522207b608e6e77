"""Joining samples into a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import neurenix.ops as ops
from neurenix.tensor import Tensor


def default_collate(samples: Sequence[Any]) -> Any:
    """Join samples into a batch with a new first axis.

    Tensors and arrays are stacked, numbers become a vector (floats float32, integers int64),
    lists of numbers become rows. Tuples, lists and dicts are joined field by field. Anything else
    (text, paths, None) stays a list.

    A sample that is a pair is taken for (input, label). Labels of shape (1,) become a vector (B,)
    and not a column (B, 1), which no loss could tell from a prediction of the same shape.

    Args:
        samples: The samples, at least one, all of one structure.

    Returns:
        The batch, in the structure of a sample.

    Shape:
        (B, ...) where each sample has (...); labels (B,) where each has () or (1,).

    Raises:
        TypeError: The samples are of different kinds, or are Pillow images.
        ValueError: The samples are of different shapes or structures, or there are none.
    """
    if not samples:
        raise ValueError("expected at least one sample to join into a batch, got none")
    batch = _join(samples)
    if isinstance(batch, tuple | list) and isinstance(samples[0], tuple | list) and len(batch) == 2:
        inputs, labels = batch
        if isinstance(labels, Tensor) and labels.shape[1:] == (1,):
            return _rebuild(samples[0], (inputs, labels.reshape((len(samples),))))
    return batch


def _join(values: Sequence[Any]) -> Any:
    first = values[0]
    kind = _common_kind(values)
    if kind == "tensor":
        _check_shapes(values)
        return ops.stack(list(values))
    if kind == "array":
        _check_shapes(values)
        return Tensor(np.stack(values))
    if kind == "number":
        return Tensor(np.array(values, dtype=_number_dtype(values)))
    if kind == "dict":
        _check_keys(values)
        return {key: _join([value[key] for value in values]) for key in first}
    if kind in ("list", "tuple"):
        _check_lengths(values)
        if kind == "list" and all(_kind(item) == "number" for value in values for item in value):
            rows = np.array(values, dtype=_number_dtype([item for row in values for item in row]))
            return Tensor(rows)
        return _rebuild(first, [_join(field) for field in zip(*values, strict=True)])
    if hasattr(first, "getbands"):  # a Pillow image, without importing Pillow
        raise TypeError("Pillow images cannot be stacked; end the transforms by ToTensor()")
    return list(values)


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return "tensor"
    if isinstance(value, np.ndarray | np.generic):  # before numbers: np.float64 is also a float
        return "array"
    if isinstance(value, bool | int | float):
        return "number"
    if isinstance(value, Mapping):
        return "dict"
    if isinstance(value, list | tuple):
        return "list" if isinstance(value, list) else "tuple"
    return "text" if value is None or isinstance(value, str) else type(value).__name__


def _common_kind(values: Sequence[Any]) -> str:
    kind = _kind(values[0])
    for position, value in enumerate(values):
        if _kind(value) != kind:
            raise TypeError(
                f"expected samples of one kind, got {type(values[0]).__name__} at position 0 of "
                f"the batch and {type(value).__name__} at position {position}"
            )
    return kind


def _number_dtype(numbers: Sequence[Any]) -> type[np.generic]:
    if any(isinstance(number, float) for number in numbers) or not numbers:
        return np.float32
    return np.bool_ if all(isinstance(number, bool) for number in numbers) else np.int64


def _rebuild(sample: tuple[Any, ...] | list[Any], fields: Sequence[Any]) -> Any:
    if hasattr(sample, "_fields"):  # a named tuple takes its fields one by one
        return type(sample)(*fields)
    return list(fields) if isinstance(sample, list) else tuple(fields)


def _check_shapes(values: Sequence[Any]) -> None:
    shape, dtype = tuple(values[0].shape), values[0].dtype
    for position, value in enumerate(values):
        if tuple(value.shape) != shape:
            raise ValueError(
                f"expected samples of one shape, got {shape} at position 0 of the batch and "
                f"{tuple(value.shape)} at position {position}; bring them to one size "
                "(Resize, CenterCrop, RandomCrop) or give the loader a collate_fn"
            )
        if value.dtype != dtype:
            raise TypeError(
                f"expected samples of one dtype, got {dtype} at position 0 of the batch and "
                f"{value.dtype} at position {position}"
            )


def _check_lengths(values: Sequence[Any]) -> None:
    for position, value in enumerate(values):
        if len(value) != len(values[0]):
            raise ValueError(
                f"expected samples of one length, got {len(values[0])} at position 0 of the batch "
                f"and {len(value)} at position {position}"
            )


def _check_keys(values: Sequence[Any]) -> None:
    for position, value in enumerate(values):
        if value.keys() != values[0].keys():
            raise ValueError(
                f"expected samples with the keys {sorted(values[0])}, got {sorted(value)} "
                f"at position {position} of the batch"
            )
