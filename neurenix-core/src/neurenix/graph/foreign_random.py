"""Random numbers that are not Neurenix's: a plan cannot draw them again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def same_random_numbers() -> Iterator[list[str]]:
    """Put Python's and NumPy's random numbers back afterwards, and tell whose were drawn."""
    drew: list[str] = []
    python, host = random.getstate(), np.random.get_state(legacy=True)  # noqa: NPY002
    try:
        yield drew
    finally:
        if random.getstate() != python:
            random.setstate(python)
            drew.append("Python's random numbers")
        now: Any = np.random.get_state(legacy=True)  # noqa: NPY002
        before: Any = host
        if now[2:] != before[2:] or not np.array_equal(now[1], before[1]):
            np.random.set_state(before)  # noqa: NPY002
            drew.append("NumPy's random numbers")
