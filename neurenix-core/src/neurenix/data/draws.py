"""Where random transforms get their random numbers from.

While a DataLoader reads a sample, everything drawn here comes from a stream of that sample's own,
keyed by (seed, epoch, sample). So an augmented sample depends neither on the number of workers nor
on the order in which samples are read. Outside of a loader, draws come from the generator that
``neurenix.manual_seed`` seeds.

A transform of your own takes part by drawing from :func:`current_generator`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import numpy.typing as npt

from neurenix.backends.registry import host_device
from neurenix.random import Generator, default_generator, rand, randperm

# What a stream of random numbers is for; the second key is the epoch.
_ORDER, _SAMPLE = 0, 1

# Each thread has a context of its own, so that workers do not disturb each other.
_current: ContextVar[Generator | None] = ContextVar("neurenix_draws", default=None)


@contextmanager
def drawing_from(generator: Generator) -> Iterator[Generator]:
    """Let random transforms draw from ``generator`` in this thread, until the context ends."""
    token = _current.set(generator)
    try:
        yield generator
    finally:
        _current.reset(token)


def order_generator(generator: Generator, epoch: int) -> Generator:
    """The stream that shuffles an epoch."""
    return generator.fork(_ORDER, epoch)


def epoch_generator(generator: Generator, epoch: int) -> Generator:
    """The stream of an epoch's samples: ``fork(sample)`` gives that of one of them."""
    return generator.fork(_SAMPLE, epoch)


def current_generator() -> Generator:
    """The generator that random transforms draw from now, in this thread."""
    generator = _current.get()
    return default_generator() if generator is None else generator


def uniform(count: int) -> npt.NDArray[np.float64]:
    """Draw numbers evenly distributed in [0, 1), on the host, from the current generator.

    They have 24 bits; in float64, scaling them to a range of integers cannot round up to its end.

    Shape:
        (count,).
    """
    draws = rand((count,), device=host_device(), generator=current_generator())
    return draws.numpy().astype(np.float64)


def permutation(count: int, generator: Generator) -> list[int]:
    """The numbers from 0 to ``count - 1`` in a random order."""
    order: list[int] = randperm(count, device=host_device(), generator=generator).tolist()
    return order
