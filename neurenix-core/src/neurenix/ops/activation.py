"""Activation functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from neurenix.dtypes import is_floating
from neurenix.ops import elementwise as ew
from neurenix.ops.elementwise import Unary
from neurenix.ops.op import TensorMeta, composite
from neurenix.ops.shapes import same, same_float

if TYPE_CHECKING:
    from neurenix.tensor import Tensor

sigmoid = Unary("sigmoid", meta=same_float, doc="Return 1 / (1 + exp(-x)).")


@sigmoid.decompose
def _(x: Tensor) -> Tensor:
    # Of the two equal forms, the one whose exponential does not overflow.
    small = ew.exp(-ew.abs(x))
    return ew.where(x >= 0, 1.0, small) / (1.0 + small)


sigmoid.vjp("x")(lambda grad, out: grad * out * (1.0 - out))

relu = Unary("relu", meta=same, doc="Return max(x, 0).")
relu.decompose(lambda x: ew.where(x < 0, 0, x))
relu.vjp("x")(lambda grad, out: ew.where(out > 0, grad, 0.0))

silu = Unary(
    "silu",
    meta=same_float,
    doc="""Return x * sigmoid(x).

    Reference: Elfwing, Uchibe and Doya 2017, "Sigmoid-weighted linear units".""",
)
silu.decompose(lambda x: x * sigmoid(x))


@silu.vjp("x")
def _(grad: Tensor, x: Tensor) -> Tensor:
    s = sigmoid(x)
    return grad * (s + x * s * (1.0 - s))


def _leaky_meta(x: Any, *, negative_slope: float) -> TensorMeta:
    return TensorMeta(x.shape, x.dtype)


_leaky_relu = composite("leaky_relu", meta=_leaky_meta)
_leaky_relu.decompose(lambda x, negative_slope: ew.where(x > 0, x, x * negative_slope))
_leaky_relu.vjp("x")(lambda grad, x, negative_slope: ew.where(x > 0, grad, grad * negative_slope))


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Return x where it is positive, ``negative_slope * x`` elsewhere."""
    return _leaky_relu(x, negative_slope=float(negative_slope))


def _gelu_meta(x: Any, *, approximate: str) -> TensorMeta:
    return TensorMeta(x.shape, x.dtype)


_gelu = composite("gelu", meta=_gelu_meta)
_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_PI = math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715


@_gelu.decompose
def _(x: Tensor, *, approximate: str) -> Tensor:
    if approximate == "tanh":
        return 0.5 * x * (1.0 + ew.tanh(_SQRT_2_PI * (x + _CUBIC * x * x * x)))
    return 0.5 * x * (1.0 + ew.erf(x * _SQRT_HALF))


@_gelu.vjp("x")
def _(grad: Tensor, x: Tensor, approximate: str) -> Tensor:
    if approximate == "tanh":
        t = ew.tanh(_SQRT_2_PI * (x + _CUBIC * x * x * x))
        slope = _SQRT_2_PI * (1.0 + 3.0 * _CUBIC * x * x)
        return grad * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope)
    cumulative = 0.5 * (1.0 + ew.erf(x * _SQRT_HALF))
    density = ew.exp(-0.5 * x * x) * (0.5 * _SQRT_2_PI)
    return grad * (cumulative + x * density)


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """Return x * Phi(x), Phi being the standard normal distribution function.

    Args:
        x: A tensor.
        approximate: ``"none"``, or ``"tanh"`` for the approximation by tanh.

    Raises:
        ValueError: ``approximate`` is neither.

    Reference:
        Hendrycks and Gimpel 2016, "Gaussian error linear units".
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu's approximate is 'none' or 'tanh', not {approximate!r}")
    return _gelu(x if is_floating(x.dtype) else x.float(), approximate=approximate)
