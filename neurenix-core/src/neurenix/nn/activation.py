"""Activations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from neurenix import ops
from neurenix.nn.module import Module

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


class ReLU(Module):
    """The rectifier, ``max(x, 0)``.

    Args:
        inplace: Taken for the sake of code written for PyTorch. The input is never overwritten;
            a compiled plan reuses its memory where it can.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return ops.relu(x)

    def extra_repr(self) -> str:
        """Return what differs from the defaults."""
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """The rectifier with a slope on the negative side, ``x if x > 0 else negative_slope * x``.

    Args:
        negative_slope: The slope.
        inplace: As in `ReLU`.

    Reference:
        Maas, Hannun and Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models",
        2013.
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return ops.leaky_relu(x, negative_slope=self.negative_slope)

    def extra_repr(self) -> str:
        """Return the slope."""
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """The Gaussian error linear unit, ``x * P(Z <= x)`` for a standard normal Z.

    Args:
        approximate: ``"none"`` is exact, by erf; ``"tanh"`` is
            ``0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))``.

    Reference:
        Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.
    """

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"approximate is 'none' or 'tanh', not {approximate!r}")
        self.approximate: Literal["none", "tanh"] = approximate

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return ops.gelu(x, approximate=self.approximate)

    def extra_repr(self) -> str:
        """Return the kind."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """The sigmoid linear unit, or swish, ``x * sigmoid(x)``.

    Args:
        inplace: As in `ReLU`.

    Reference:
        Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units", 2017.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return ops.silu(x)

    def extra_repr(self) -> str:
        """Return what differs from the defaults."""
        return "inplace=True" if self.inplace else ""


class Sigmoid(Module):
    """The logistic function, ``1 / (1 + exp(-x))``."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return ops.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return ops.tanh(x)


class Softmax(Module):
    """Probabilities from logits, ``exp(x) / sum(exp(x))`` along an axis.

    Args:
        axis: The axis whose values sum to 1.
        dim: PyTorch's name for the axis.
    """

    def __init__(self, axis: int = -1, *, dim: int | None = None) -> None:
        super().__init__()
        self.axis = axis if dim is None else dim

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return ops.softmax(x, axis=self.axis)

    def extra_repr(self) -> str:
        """Return the axis."""
        return f"axis={self.axis}"


class LogSoftmax(Module):
    """Logarithms of probabilities from logits, ``x - log(sum(exp(x)))`` along an axis.

    Args:
        axis: The axis whose probabilities sum to 1.
        dim: PyTorch's name for the axis.
    """

    def __init__(self, axis: int = -1, *, dim: int | None = None) -> None:
        super().__init__()
        self.axis = axis if dim is None else dim

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return ops.log_softmax(x, axis=self.axis)

    def extra_repr(self) -> str:
        """Return the axis."""
        return f"axis={self.axis}"
