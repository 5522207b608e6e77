"""Forward passes of ours and of peers, all called alike: pictures in, logits out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Forward:
    """A forward pass.

    Attributes:
        prepare: Pictures to what the library takes; not timed.
        run: That to logits, as an array.
    """

    prepare: Callable[[Array], Any]
    run: Callable[[Any], Array]

    def __call__(self, pictures: Array) -> Array:
        """Return a copy of the logits: some libraries overwrite theirs in the next call."""
        return np.array(self.run(self.prepare(pictures)), dtype=np.float32)

    def on(self, pictures: Array) -> Callable[[], Array]:
        """Return the pass over these pictures as what is timed."""
        prepared = self.prepare(pictures)
        return lambda: self.run(prepared)


def predicted(forward: Forward, photos: Array, batch: int) -> Array:
    """Return the class of each photo; the last batch is filled up, for its shape is fixed."""
    classes = []
    for start in range(0, len(photos), batch):
        part = photos[start : start + batch]
        filled = np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])
        classes.append(forward(filled)[: len(part)].argmax(axis=1))
    return np.concatenate(classes)


def difference(ours: Array, expected: Array) -> float:
    """Return the largest difference, as a share of the largest expected value."""
    return float(np.abs(ours - expected).max() / np.abs(expected).max())
