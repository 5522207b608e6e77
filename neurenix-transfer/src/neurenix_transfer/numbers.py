"""Checks of the numbers that options are given as."""

from __future__ import annotations

import math
from typing import Any


def is_number(value: Any) -> bool:
    """Whether a value is a real number, and neither True, False, NaN nor infinite."""
    if isinstance(value, bool) or not hasattr(value, "__float__") or hasattr(value, "shape"):
        return False
    return math.isfinite(value)


def check_positive(**numbers: float | None) -> None:
    """Check that each number is above 0, or None.

    Raises:
        TypeError: One is no number.
        ValueError: One is not above 0.
    """
    for name, value in numbers.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} is a number above 0 or None, not {value!r}")
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} is a number above 0; got {value!r}")


def check_share(name: str, value: float) -> None:
    """Check that a number lies in [0, 1).

    Raises:
        TypeError: It is no number.
        ValueError: It lies elsewhere.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is a number from 0 to below 1, not {value!r}")
    if not 0 <= value < 1:
        raise ValueError(f"{name} lies from 0 to below 1; got {value!r}")
