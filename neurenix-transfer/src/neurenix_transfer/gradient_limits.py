"""Limits on the gradients of a step, applied between backward and the optimizer's step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from neurenix import Tensor
from neurenix.optim import clip_grad_norm_, clip_grad_value_
from neurenix_transfer.numbers import check_positive


@dataclass(frozen=True)
class GradientLimit:
    """What gradients may at most be.

    Attributes:
        norm: The largest norm of all gradients together; beyond it they are scaled down.
        value: The largest absolute value of an element; beyond it the element is cut off.

    Raises:
        ValueError: Both are given, or one is not above 0.
    """

    norm: float | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        if self.norm is not None and self.value is not None:
            raise ValueError(
                f"clip_norm={self.norm!r} and clip_value={self.value!r} were both given; choose "
                "one: clip_norm keeps the direction of the step, clip_value limits each element"
            )
        check_positive(clip_norm=self.norm, clip_value=self.value)

    def apply(self, params: Iterable[Tensor]) -> None:
        """Limit the gradients of parameters; nothing is read back from the device."""
        if self.norm is not None:
            clip_grad_norm_(params, self.norm)
        elif self.value is not None:
            clip_grad_value_(params, self.value)
