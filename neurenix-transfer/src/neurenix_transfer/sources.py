"""One way to read training data, whatever form it comes in.

A source has a plan of batches for each epoch, a function of (seed, epoch), and reads batches by the
numbers of their samples. Those numbers travel with the batch: whatever is remembered about a
sample, such as its features, is found again by its number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

import neurenix
from neurenix import Tensor
from neurenix.data import DataLoader
from neurenix.dtypes import is_floating
from neurenix.nn import Module

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Inputs: TypeAlias = Any  # a Tensor, or a tuple, list or dict of them


@dataclass
class Batch:
    """Samples that are computed together.

    Attributes:
        inputs: What the model takes, ``(B, ...)``.
        labels: ``(B,)`` or ``(B, ...)``.
        samples: The number of each sample in its data set; None where nobody knows them.
    """

    inputs: Inputs
    labels: Tensor
    samples: Sequence[int] | None

    @property
    def size(self) -> int:
        """The number of samples."""
        return self.labels.shape[0]


class Source(ABC):
    """Where batches come from.

    Attributes:
        name: What it is called in errors, such as ``"train_data"``.
        labels: The labels of all samples, by number; None where nobody knows them.
    """

    name: str
    labels: Array | None = None

    @abstractmethod
    def batches(self, epoch: int, *, join_single: bool = False) -> Iterator[Batch]:
        """Yield the batches of an epoch.

        Args:
            epoch: Which epoch; the same one gives the same batches.
            join_single: Whether a last batch of one sample joins the batch before it.
        """

    @abstractmethod
    def steps(self, *, join_single: bool = False) -> int | None:
        """Return the number of batches of an epoch, or None where it cannot be known."""

    def numbers(self, epoch: int, *, join_single: bool = False) -> list[list[int]] | None:
        """Return the numbers of the samples of each batch, or None where there are none."""
        return None

    def read(self, batches: Sequence[Sequence[int]], epoch: int) -> Iterator[Batch]:
        """Yield batches of the samples of some numbers, as an epoch reads them.

        Raises:
            TypeError: The samples have no numbers.
        """
        raise TypeError(f"the samples of {self.name} have no numbers")


class InMemory(Source):
    """Samples that are tensors or arrays, one by one or all in one.

    Args:
        name: What the source is called in errors.
        data: A tensor or an array ``(N, ...)``, or a list of N.
        labels: ``(N,)`` or ``(N, ...)``.
        batch_size: Samples a batch.
        shuffle: Whether each epoch has an order of its own.
        seed: What the orders depend on, beside the epoch.
        align: Brings samples of different lengths to one, for a batch.
    """

    def __init__(
        self,
        name: str,
        data: Any,
        labels: Array,
        batch_size: int,
        shuffle: bool,
        seed: int,
        align: Callable[[Sequence[Any]], Sequence[Any]] | None = None,
    ) -> None:
        self.name = name
        self.data = data
        self._align = align
        self.labels: Array = labels
        # The loader only orders: gathering a batch at once is faster than sample by sample.
        self._order = DataLoader(range(len(labels)), batch_size, shuffle, seed=seed)

    def batches(self, epoch: int, *, join_single: bool = False) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        yield from self.read(self.numbers(epoch, join_single=join_single), epoch)

    def numbers(self, epoch: int, *, join_single: bool = False) -> list[list[int]]:
        """Return the numbers of the samples of each batch."""
        return plan(self._order, epoch, join_single)

    def read(self, batches: Sequence[Sequence[int]], epoch: int) -> Iterator[Batch]:
        """Yield batches of the samples of some numbers."""
        for samples in map(list, batches):
            yield Batch(self.gather(samples), Tensor(self.labels[samples]), samples)

    def gather(self, samples: list[int]) -> Tensor:
        """Return the inputs of some samples as one tensor."""
        if isinstance(self.data, Tensor | np.ndarray):
            picked = self.data[samples]
            return picked if isinstance(picked, Tensor) else Tensor(picked)
        chosen = [self.data[sample] for sample in samples]
        if self._align is not None:
            chosen = list(self._align(chosen))
        if all(isinstance(each, Tensor) for each in chosen):
            return neurenix.stack(chosen)
        return Tensor(np.stack([np.asarray(each) for each in chosen]))

    def steps(self, *, join_single: bool = False) -> int:
        """Return the number of batches of an epoch."""
        return len(plan(self._order, 0, join_single))


class FromLoader(Source):
    """The batches of a `DataLoader`, in the order that its seed gives."""

    def __init__(self, name: str, loader: DataLoader) -> None:
        self.name = name
        self.loader = loader

    def batches(self, epoch: int, *, join_single: bool = False) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        yield from self.read(self.numbers(epoch, join_single=join_single), epoch)

    def numbers(self, epoch: int, *, join_single: bool = False) -> list[list[int]]:
        """Return the numbers of the samples of each batch."""
        return plan(self.loader, epoch, join_single)

    def read(self, batches: Sequence[Sequence[int]], epoch: int) -> Iterator[Batch]:
        """Yield batches of the samples of some numbers, as an epoch reads them."""
        for samples, batch in zip(batches, self.loader.load(batches, epoch), strict=True):
            inputs, labels = as_pair(batch, self.name)
            yield Batch(inputs, labels, samples)

    def one_by_one(self, chosen: Iterable[int] | None = None) -> Iterator[Batch]:
        """Yield every sample as a batch of its own, in order, as the first epoch reads it.

        Args:
            chosen: The numbers of the samples; all by default.
        """
        chosen = range(len(self.loader.dataset)) if chosen is None else chosen
        numbers = [[sample] for sample in chosen]
        for samples, batch in zip(numbers, self.loader.load(numbers, epoch=0), strict=True):
            inputs, labels = as_pair(batch, f"{self.name}[{samples[0]}]")
            yield Batch(inputs, labels, samples)

    def steps(self, *, join_single: bool = False) -> int:
        """Return the number of batches of an epoch."""
        return len(plan(self.loader, 0, join_single))


class FromIterable(Source):
    """The batches of anything that can be iterated over again and again."""

    def __init__(self, name: str, iterable: Iterable[Any]) -> None:
        self.name = name
        self.iterable = iterable

    def batches(self, epoch: int, *, join_single: bool = False) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        set_epoch = getattr(self.iterable, "set_epoch", None)
        if callable(set_epoch):
            set_epoch(epoch)
        pending: list[Batch] = []  # the last two, until it is known that another follows
        for item in self.iterable:
            pending.append(Batch(*as_pair(item, self.name), None))
            if len(pending) > 2:
                yield pending.pop(0)
        if join_single and len(pending) == 2 and pending[1].size == 1 < pending[0].size:
            pending = [_joined(*pending)]
        yield from pending

    def steps(self, *, join_single: bool = False) -> int | None:
        """Return the number of batches of an epoch, or None where it cannot be known."""
        return None


def plan(loader: DataLoader, epoch: int, join_single: bool) -> list[list[int]]:
    """Return the numbers of the samples of each batch of an epoch."""
    batches = loader.batch_indices(epoch)
    if join_single and len(batches) > 1 and len(batches[-1]) == 1 < len(batches[-2]):
        single = batches.pop()
        batches[-1] = [*batches[-1], *single]
    return batches


def as_pair(batch: Any, name: str) -> tuple[Inputs, Tensor]:
    """Take a batch apart into inputs and labels, as tensors.

    Raises:
        TypeError: It is not a pair.
    """
    if not (isinstance(batch, tuple | list) and len(batch) == 2):
        what = f"{len(batch)} parts" if isinstance(batch, tuple | list) else type(batch).__name__
        raise TypeError(
            f"{name} gives batches of {what}; expected pairs (inputs, labels). "
            "A Dataset has labels where it is built as Dataset(data, labels)"
        )
    labels = as_tensor(batch[1])
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels.reshape((labels.shape[0],))
    return map_tensors(as_tensor, batch[0]), labels


def as_tensor(value: Any) -> Tensor:
    """Return a tensor as it is, and anything that looks like an array as a tensor."""
    return value if isinstance(value, Tensor) else Tensor(np.asarray(value))


def map_tensors(function: Callable[[Any], Any], inputs: Inputs) -> Inputs:
    """Apply a function to every tensor of (possibly nested) inputs."""
    if isinstance(inputs, dict):
        return {key: map_tensors(function, value) for key, value in inputs.items()}
    if isinstance(inputs, tuple | list):
        return type(inputs)(map_tensors(function, value) for value in inputs)
    return function(inputs)


def placed(model: Module, inputs: Inputs) -> Inputs:
    """Move inputs to where a model is, and cast what is floating to what it computes in.

    A model without parameters takes them as they are.
    """
    param = next(model.parameters(), None)
    if param is None:
        return inputs

    def place(tensor: Tensor) -> Tensor:
        tensor = tensor.to(param.device)
        return tensor.astype(param.dtype) if is_floating(tensor.dtype) else tensor

    return map_tensors(place, inputs)


def _joined(first: Batch, last: Batch) -> Batch:
    return Batch(
        _concatenated(first.inputs, last.inputs),
        neurenix.concat([first.labels, last.labels], axis=0),
        None,
    )


def _concatenated(first: Inputs, last: Inputs) -> Inputs:
    if isinstance(first, dict):
        return {key: _concatenated(value, last[key]) for key, value in first.items()}
    if isinstance(first, tuple | list):
        return type(first)(_concatenated(*pair) for pair in zip(first, last, strict=True))
    return neurenix.concat([first, last], axis=0)
