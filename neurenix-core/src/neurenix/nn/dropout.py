"""Dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix.nn import functional as F
from neurenix.nn.module import Module

if TYPE_CHECKING:
    from neurenix.random import Generator
    from neurenix.tensor import Tensor


class Dropout(Module):
    """Sets elements to zero with probability p in training mode, and scales the rest by 1/(1-p).

    In eval mode it returns its input.

    Args:
        p: The probability.
        inplace: Taken for the sake of code written for PyTorch. The input is never overwritten.
        generator: Where the choice is drawn from; by default Neurenix's own generator.

    Reference:
        Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting",
        2014.
    """

    def __init__(
        self, p: float = 0.5, inplace: bool = False, *, generator: Generator | None = None
    ) -> None:
        super().__init__()
        self.p = check_probability(p)
        self.inplace = inplace
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements, in training mode."""
        if self.p == 0.0 or not self.training:
            return x
        return F.dropout(x, self.p, generator=self.generator)

    def extra_repr(self) -> str:
        """Return the probability."""
        return f"p={self.p}" + (", inplace=True" if self.inplace else "")


def check_probability(p: float) -> float:
    """Return p if it is a probability.

    Raises:
        ValueError: It is none.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"a dropout probability lies between 0 and 1; got {p}")
    return p
