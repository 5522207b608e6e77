"""What no run of a graph changes, and what it is called in the file of weights."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

from neurenix.graph.constants import check_captured

if TYPE_CHECKING:
    from neurenix import Tensor
    from neurenix.graph import Value


def constant_tensor(value: Value, folded: Mapping[Value, Tensor]) -> Tensor | None:
    """Return the tensor behind a value, or None if a run computes it.

    Args:
        value: The value.
        folded: What the graph's prelude has computed.
    """
    return folded.get(value) if value.tensor is None else check_captured(value)


def unused_name(name: str, used: Container[str]) -> str:
    """Return the name, with a number behind it where it is taken."""
    found, count = name, 1
    while found in used:
        found, count = f"{name}.{count}", count + 1
    return found


def merge_constants(into: dict[str, Tensor], others: Mapping[str, Tensor]) -> dict[str, str]:
    """Add constants to those that are there; what is there already is not added again.

    Two graphs of one model have the same weights, under names that may differ.

    Returns:
        What each of the others is called now.
    """
    found = {_content(tensor): name for name, tensor in into.items()}
    names = {}
    for name, tensor in others.items():
        content = _content(tensor)
        if content not in found:
            found[content] = unused_name(name, into)
            into[found[content]] = tensor
        names[name] = found[content]
    return names


def _content(tensor: Tensor) -> tuple[str, int, bytes]:
    """Return what two tensors of the same bytes have in common, whatever their shapes."""
    array = tensor.detach().numpy()
    return str(array.dtype), array.size, hashlib.sha256(array.tobytes()).digest()
