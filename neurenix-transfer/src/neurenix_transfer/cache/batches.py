"""Batches on their way through the two halves of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import neurenix
from neurenix import Tensor
from neurenix.nn import Module
from neurenix_transfer.sources import Batch, Inputs, map_tensors, placed


@dataclass(frozen=True)
class Rest:
    """What is left to compute of a batch.

    Attributes:
        forward: From the inputs to the model's output. Of batches of one kind it is the same.
        inputs: The tensors that it takes, as it takes them.
        repeats: Whether the samples have the shape of the first one, as most batches will.
    """

    forward: Callable[[Any], Any]
    inputs: Any
    repeats: bool


@dataclass(frozen=True)
class Staged:
    """A batch that has been through the frozen part.

    Attributes:
        labels: ``(B,)`` or ``(B, ...)``.
        samples: The number of each sample in its data set; None where nobody knows them.
        rest: Returns the rest of the model, and what it is given.
        whole: Reads the batch itself.
    """

    labels: Tensor
    samples: Sequence[int] | None
    rest: Callable[[], Rest]
    whole: Callable[[], Batch]

    def outputs(self) -> Any:
        """Run the rest of the model, and return its output."""
        rest = self.rest()
        return rest.forward(rest.inputs)

    @property
    def size(self) -> int:
        """The number of samples."""
        return self.labels.shape[0]


def eager_batches(model: Module, batches: Iterable[Batch], example: Inputs) -> Iterator[Staged]:
    """Yield batches for a model that runs as a whole, by its own code."""
    for batch in batches:
        yield eager(model, batch, example)


def eager(model: Module, batch: Batch, example: Inputs) -> Staged:
    """Return a batch for a model that runs as a whole, by its own code.

    Args:
        model: The model.
        batch: The batch.
        example: The first sample's inputs, as a batch of one.
    """
    return Staged(
        batch.labels, batch.samples, lambda: whole_model(model, batch, example), lambda: batch
    )


def whole_model(model: Module, batch: Batch, example: Inputs) -> Rest:
    """Return the whole model as the rest of a batch."""
    inputs = placed(model, batch.inputs)
    return Rest(model, inputs, sample_shapes(inputs) == sample_shapes(example))


def sample_shapes(inputs: Inputs) -> list[Any]:
    """Return the shape of a sample's part of each tensor, and the tensor's dtype."""
    shapes: list[Any] = []
    map_tensors(lambda tensor: shapes.append((tensor.shape[1:], tensor.dtype)), inputs)
    return shapes


def rows_of(inputs: Inputs) -> list[Inputs]:
    """Return the inputs of each sample of a batch, as batches of one.

    Empty where the tensors of the inputs do not all count samples along their first axis.
    """
    sizes: set[int] = set()
    map_tensors(lambda tensor: sizes.add(tensor.shape[0] if tensor.ndim else -1), inputs)
    if len(sizes) != 1 or -1 in sizes:
        return []
    count = sizes.pop()
    if count == 1:
        return [inputs]

    def row(number: int) -> Callable[[Any], Any]:
        return lambda tensor: tensor[number : number + 1]

    return [map_tensors(row(number), inputs) for number in range(count)]


def joined_labels(batches: Sequence[Batch]) -> Tensor:
    """Return the labels of several batches as those of one."""
    labels = [batch.labels for batch in batches]
    return labels[0] if len(labels) == 1 else neurenix.concat(labels, axis=0)
