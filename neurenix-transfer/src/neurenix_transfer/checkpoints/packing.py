"""Nested values as JSON and tensors, and back, exactly.

What JSON does not know is written as an object with one key that begins with ``$``: a tensor as
the name under which the tensors hold it, a tuple as a list, a dict with other keys than strings as
pairs. Floats come back bit by bit: Python writes the shortest digits that read as the same number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from neurenix import Tensor

_TENSOR, _TUPLE, _PAIRS = "$tensor", "$tuple", "$pairs"


def pack(value: Any, tensors: dict[str, Tensor], path: str = "") -> Any:
    """Return a value as JSON, its tensors put aside.

    Args:
        value: None, booleans, numbers, strings, tensors, arrays, and lists, tuples and dicts of
            them.
        tensors: Where the tensors go, by their path in the value.
        path: The path of this value.

    Raises:
        TypeError: It holds something else; the message says where.
    """
    if value is None or isinstance(value, bool | int | float | str):
        # Plain ones: a NumPy float is a float too, and would be written as one.
        return value if type(value) in (type(None), bool, int, float, str) else _plain(value)
    if isinstance(value, Tensor | np.ndarray):
        tensors[path] = value if isinstance(value, Tensor) else Tensor(value)
        return {_TENSOR: path}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple):
        return {_TUPLE: _packed_list(value, tensors, path)}
    if isinstance(value, list):
        return _packed_list(value, tensors, path)
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: pack(each, tensors, f"{path}/{key}") for key, each in value.items()}
        pairs = [[key, each] for key, each in value.items()]
        return {_PAIRS: _packed_list(pairs, tensors, path)}
    raise TypeError(
        f"a checkpoint cannot hold {path.lstrip('/')}: it is a {type(value).__name__}; expected "
        "None, booleans, numbers, strings, tensors, and lists, tuples and dicts of them"
    )


def unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return the value that `pack` made JSON of.

    Raises:
        KeyError: A tensor is missing.
    """
    if isinstance(value, list):
        return [unpack(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        # A copy: the file that the tensor was read from may go.
        return tensors[value[_TENSOR]].clone()
    if _TUPLE in value:
        return tuple(unpack(value[_TUPLE], tensors))
    if _PAIRS in value:
        return dict(unpack(value[_PAIRS], tensors))
    return {key: unpack(each, tensors) for key, each in value.items()}


def _packed_list(values: Any, tensors: dict[str, Tensor], path: str) -> list[Any]:
    return [pack(each, tensors, f"{path}/{number}") for number, each in enumerate(values)]


def _plain(value: Any) -> Any:
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
