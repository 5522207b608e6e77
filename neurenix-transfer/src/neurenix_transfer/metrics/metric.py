"""What a metric is: numbers of each batch, joined to one of the whole epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from neurenix import Tensor
from neurenix_transfer.sources import Array

Measured: TypeAlias = tuple[Tensor, ...]
"""What a metric takes of one batch; it stays on the device until the epoch ends."""


class Metric(ABC):
    """A quantity of an epoch, computed over all its samples.

    Averages over batches are wrong for most metrics (the F1 of an epoch is not the mean F1 of its
    batches), so a metric takes of each batch what can be joined, and joins it at the end.

    Attributes:
        name: Its key in the history, after ``train_`` or ``val_``.
    """

    name: str

    @abstractmethod
    def measure(self, outputs: Tensor, labels: Tensor) -> Measured:
        """Take what counts of a batch; runs without the tape, and should read nothing back."""

    @abstractmethod
    def combine(self, batches: Sequence[tuple[Array, ...]]) -> float:
        """Return the metric over all batches, given what `measure` took of each."""


class FunctionMetric(Metric):
    """A function of all outputs and labels of an epoch.

    Args:
        function: ``(outputs, labels) -> number``; given tensors on the CPU, batches joined.
        name: The key; the function's own name by default.

    Raises:
        ValueError: The function has no name, as a lambda.
    """

    def __init__(
        self, function: Callable[[Tensor, Tensor], object], name: str | None = None
    ) -> None:
        self.function = function
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        if not self.name.isidentifier():
            raise ValueError(
                f"a metric called {self.name!r} has no usable key in the history; name it, as in "
                "FunctionMetric(function, name='...')"
            )

    def measure(self, outputs: Tensor, labels: Tensor) -> Measured:
        """Keep both, until the epoch ends."""
        return outputs, labels

    def combine(self, batches: Sequence[tuple[Array, ...]]) -> float:
        """Join the batches and call the function."""
        outputs, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        value = self.function(Tensor(outputs), Tensor(labels))
        try:
            return float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise TypeError(
                f"the metric {self.name} returned {value!r}; expected one number"
            ) from None
