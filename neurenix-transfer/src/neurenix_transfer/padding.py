"""Rows of token ids of different lengths, filled up for a base that says with what.

As in the pipeline of texts (`neurenix.data.text.Tokenizer`), a row is filled up by its own length,
so that what a model makes of it does not depend on its batch; in a batch the shorter rows are
filled up further, of which such a base takes no notice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurenix import Tensor
from neurenix.nn import Module
from neurenix_transfer.sources import Array
from neurenix_transfer.transfer_model import TransferModel

_BUCKET = 16  # as in `Tokenizer`: a frozen part is compiled for few different lengths


@dataclass(frozen=True)
class Padding:
    """How rows of token ids are filled up.

    Attributes:
        pad_id: The id that stands for no token.
        longest: The most ids that the base takes; None where it does not say.
    """

    pad_id: int
    longest: int | None = None

    def filled(self, rows: Sequence[Any]) -> list[Array]:
        """Fill each row up to the next multiple of 16 ids, or to the most that the base takes."""
        return [self._to(_array(row), self._length(len(row))) for row in rows]

    def aligned(self, rows: Sequence[Any]) -> list[Array]:
        """Fill rows up to the longest of them."""
        longest = max(len(row) for row in rows)
        return [self._to(_array(row), longest) for row in rows]

    def _length(self, count: int) -> int:
        length = max(1, -(-count // _BUCKET)) * _BUCKET
        return length if self.longest is None else max(count, min(length, self.longest))

    def _to(self, row: Array, length: int) -> Array:
        filled: Array = np.full(length, self.pad_id, dtype=row.dtype)
        filled[: len(row)] = row
        return filled


def padding_for(model: Module) -> Padding | None:
    """Return how rows of ids are filled up for a base; None where it has no ``pad_token_id``."""
    base = model.get_base_model() if isinstance(model, TransferModel) else model
    pad_id = getattr(base, "pad_token_id", None)
    if not isinstance(pad_id, int):
        return None
    longest = getattr(getattr(base, "config", None), "max_position_embeddings", None)
    return Padding(pad_id, longest if isinstance(longest, int) else None)


def are_ragged_rows(samples: Sequence[Any]) -> bool:
    """Whether samples are rows of whole numbers, ``(T,)`` each, of which some differ in length."""
    rows = all(sample.ndim == 1 and _is_whole(sample) for sample in samples)
    return rows and len({len(sample) for sample in samples}) > 1


def _is_whole(sample: Any) -> bool:
    return np.dtype(_array(sample).dtype).kind in "iu"


def _array(sample: Any) -> Array:
    found: Array = sample.numpy() if isinstance(sample, Tensor) else np.asarray(sample)
    return found
