"""Rows of a table by index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix.errors import ShapeError
from neurenix.ops.indexing import take

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


def embedding(indices: Tensor, weight: Tensor) -> Tensor:
    """Return the rows of a table that indices name.

    Args:
        indices: Integers from 0 to V - 1, of any shape S.
        weight: The table, ``(V, D)``.

    Shape:
        ``S`` to ``(*S, D)``.

    Raises:
        ShapeError: The table has not two axes.
        IndexError: An index is out of range.
    """
    if weight.ndim != 2:
        raise ShapeError(f"embedding expects a weight of shape (V, D), but got {weight.shape}")
    return take(weight, indices)
