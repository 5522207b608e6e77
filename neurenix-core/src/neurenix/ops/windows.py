"""The arguments of windows that slide over images: kernels, strides, padding, dilation."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import TypeAlias

from neurenix.errors import ShapeError

Shape: TypeAlias = tuple[int, ...]
Pair: TypeAlias = tuple[int, int]
Padding: TypeAlias = tuple[Pair, Pair]
PairLike: TypeAlias = "int | Sequence[int]"


def window_count(size: int, kernel: int, stride: int, padding: Pair, dilation: int) -> int:
    """Return how many positions a dilated window has along a padded axis."""
    return (size + padding[0] + padding[1] - dilation * (kernel - 1) - 1) // stride + 1


def as_pair(name: str, what: str, value: PairLike, least: int = 1) -> Pair:
    """Return (rows, columns) from a number or a pair of at least ``least``.

    Raises:
        ShapeError: It is neither, or too small.
    """
    values = (value, value) if isinstance(value, int) else tuple(value)
    try:
        rows, columns = (index(v) for v in values)
    except (TypeError, ValueError):
        rows = columns = least - 1
    if min(rows, columns) < least:
        raise ShapeError(
            f"{name} needs {what} to be an integer of at least {least} or a pair of them, got "
            f"{value!r}"
        )
    return rows, columns


def as_padding(name: str, padding: int | Sequence[int] | Sequence[Sequence[int]]) -> Padding:
    """Return ((top, bottom), (left, right)) from a number, a pair or two pairs.

    Raises:
        ShapeError: It is none of these, or negative.
    """
    values: Sequence[PairLike] = (padding, padding) if isinstance(padding, int) else tuple(padding)
    if len(values) != 2:
        raise ShapeError(
            f"{name} needs padding to be a number, (rows, columns) or ((top, bottom), "
            f"(left, right)), got {padding!r}"
        )
    rows, columns = (as_pair(name, "padding", value, 0) for value in values)
    return rows, columns


def check_windows(
    name: str, shape: Shape, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> None:
    """Check that at least one window fits into images of shape (N, C, H, W).

    Raises:
        ShapeError: None does.
    """
    for a, axis in enumerate(("height", "width")):
        if window_count(shape[2 + a], kernel[a], stride[a], padding[a], dilation[a]) < 1:
            raise ShapeError(
                f"{name}: a window of {dilation[a] * (kernel[a] - 1) + 1} does not fit the "
                f"{axis} of {shape[2 + a]} with padding {padding[a]}, in x of shape {shape}"
            )
