"""Modules that change the shape alone, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix import ops
from neurenix.nn.module import Module

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


class Flatten(Module):
    """Joins neighbouring axes into one; by default all but the first.

    Args:
        start_axis: The first axis to join.
        end_axis: The last axis to join.
        start_dim: PyTorch's name for the first axis.
        end_dim: PyTorch's name for the last axis.

    Shape:
        ``(N, C, H, W)`` to ``(N, C * H * W)``.
    """

    def __init__(
        self,
        start_axis: int = 1,
        end_axis: int = -1,
        *,
        start_dim: int | None = None,
        end_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.start_axis = start_axis if start_dim is None else start_dim
        self.end_axis = end_axis if end_dim is None else end_dim

    def forward(self, x: Tensor) -> Tensor:
        """Join the axes."""
        return ops.flatten(x, self.start_axis, self.end_axis)

    def extra_repr(self) -> str:
        """Return the axes."""
        return f"start_axis={self.start_axis}, end_axis={self.end_axis}"


class Identity(Module):
    """Returns its input. It takes any arguments, so that it can stand in for any layer.

    Args:
        *args: Ignored.
        **kwargs: Ignored.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        """Return the input."""
        return x
