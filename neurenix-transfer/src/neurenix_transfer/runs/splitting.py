"""How much of the data is set aside to validate on, where they bring no split of their own."""

from __future__ import annotations

from collections.abc import Sequence

from neurenix.errors import NeurenixError

DEFAULT_VAL_FRACTION = 0.2


class SplitError(NeurenixError, ValueError):
    """A split that was asked for and cannot be made."""


def check_fraction(fraction: float | None) -> None:
    """Check the share to validate on that was asked for.

    Raises:
        SplitError: It is not between 0 and 1.
    """
    if fraction is not None and not 0 < fraction < 1:
        raise SplitError(f"the fraction to validate on must lie between 0 and 1, not {fraction}")


def listing(names: Sequence[str], most: int) -> str:
    """Name things in a message, up to so many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
