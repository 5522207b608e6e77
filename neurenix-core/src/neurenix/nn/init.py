"""Initialisers. Each fills a tensor in place and returns it.

All draw from Neurenix's own generator unless they are given another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from neurenix.autograd import no_grad
from neurenix.dtypes import float32
from neurenix.errors import ShapeError
from neurenix.nn.parameter import Parameter
from neurenix.nn.quantile import normal_quantile
from neurenix.ops.creation import empty
from neurenix.random import rand, randn
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from neurenix.backends import DeviceLike
    from neurenix.dtypes import DType
    from neurenix.random import Generator


class _Skipping(local):
    active = False


_skipping = _Skipping()


@contextmanager
def skip() -> Iterator[None]:
    """Leave the parameters of layers built in a block unfilled.

    For models whose weights are loaded right afterwards: drawing them first is wasted time.
    Nothing is drawn from the generator, and what the parameters hold is undefined.
    """
    before = _skipping.active
    _skipping.active = True
    try:
        yield
    finally:
        _skipping.active = before


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with values uniform in [a, b)."""
    if _skipping.active:
        return tensor
    values = rand(tensor.shape, dtype=tensor.dtype, device=tensor.device, generator=generator)
    return _fill(tensor, values * (b - a) + a)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with normal values."""
    if _skipping.active:
        return tensor
    values = randn(tensor.shape, dtype=tensor.dtype, device=tensor.device, generator=generator)
    return _fill(tensor, values * std + mean)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with normal values between a and b; what lies outside never comes up.

    By the inverse of the distribution function, so that one draw gives one value.

    Raises:
        ValueError: a is not below b.
    """
    if not a < b:
        raise ValueError(f"trunc_normal_ needs a < b; got a={a}, b={b}")
    if _skipping.active:
        return tensor
    low, high = (_normal_cdf((bound - mean) / std) for bound in (a, b))
    uniform = rand(tensor.shape, generator=generator).numpy().astype(np.float64)
    values = normal_quantile(low + (high - low) * uniform) * std + mean
    return _fill(tensor, Tensor(np.clip(values, a, b), dtype=tensor.dtype, device=tensor.device))


def constant_(tensor: Tensor, value: float) -> Tensor:
    """Fill with one value."""
    if not _skipping.active:
        with no_grad():
            tensor.fill_(value)
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with ones on its diagonal and zeros elsewhere.

    Raises:
        ShapeError: It is no matrix.
    """
    if tensor.ndim != 2:
        raise ShapeError(f"eye_ fills a matrix; got shape {tensor.shape}")
    rows, columns = tensor.shape
    values = np.eye(rows, columns)
    return _fill(tensor, Tensor(values, dtype=tensor.dtype, device=tensor.device))


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with values uniform in (-a, a), ``a = gain sqrt(6 / (fan_in + fan_out))``.

    Reference:
        Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
        networks", 2010.
    """
    fan_in, fan_out = fans(tensor)
    bound = gain * math.sqrt(6.0 / (fan_in + fan_out))
    return uniform_(tensor, -bound, bound, generator=generator)


def xavier_normal_(
    tensor: Tensor, gain: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with normal values, ``std = gain sqrt(2 / (fan_in + fan_out))``.

    Reference:
        Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
        networks", 2010.
    """
    fan_in, fan_out = fans(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)), generator=generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with values uniform in (-b, b), ``b = gain sqrt(3 / fan)``.

    Args:
        tensor: The weight.
        a: The negative slope of the leaky ReLU behind the layer.
        mode: ``"fan_in"`` keeps the variance of the values forward, ``"fan_out"`` that of the
            gradients backward.
        nonlinearity: What follows the layer; see `calculate_gain`.
        generator: Where the values are drawn from.

    Reference:
        He et al., "Delving Deep into Rectifiers", 2015.
    """
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator=generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with normal values, ``std = gain / sqrt(fan)``; the arguments of `kaiming_uniform_`.

    Reference:
        He et al., "Delving Deep into Rectifiers", 2015.
    """
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    return normal_(tensor, 0.0, std, generator=generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with a (semi-)orthogonal matrix, all axes but the first taken as one.

    Raises:
        ShapeError: It has fewer than two axes.

    Reference:
        Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in
        deep linear neural networks", 2013.
    """
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_ needs at least two axes; got shape {tensor.shape}")
    if _skipping.active or tensor.size == 0:
        return tensor
    rows, columns = tensor.shape[0], tensor.size // tensor.shape[0]
    normal = randn((rows, columns), generator=generator).numpy().astype(np.float64)
    q, r = np.linalg.qr(normal if rows >= columns else normal.T)
    q *= np.sign(np.diag(r))  # makes the distribution uniform over orthogonal matrices
    values = (q if rows >= columns else q.T).reshape(tensor.shape) * gain
    return _fill(tensor, Tensor(values, dtype=tensor.dtype, device=tensor.device))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor that keeps the variance through a nonlinearity.

    Args:
        nonlinearity: ``"linear"``, ``"conv2d"``, ``"sigmoid"``, ``"tanh"``, ``"relu"``,
            ``"leaky_relu"`` or ``"selu"``.
        param: The negative slope of ``"leaky_relu"``; by default 0.01.

    Raises:
        ValueError: The nonlinearity is not known.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1.0 + (0.01 if param is None else param) ** 2))
    gains = {
        "linear": 1.0,
        "conv2d": 1.0,
        "sigmoid": 1.0,
        "tanh": 5.0 / 3.0,
        "relu": math.sqrt(2.0),
        "selu": 0.75,
    }
    if nonlinearity not in gains:
        raise ValueError(
            f"no gain is known for {nonlinearity!r}; known: {', '.join(gains)}, leaky_relu"
        )
    return gains[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """Return how many inputs an output of a weight has, and how many outputs an input.

    Raises:
        ShapeError: It has fewer than two axes.
    """
    if tensor.ndim < 2:
        raise ShapeError(
            f"fan-in and fan-out need a weight of at least two axes; got shape {tensor.shape}"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


# What the layers share.


def empty_parameter(
    shape: tuple[int, ...], device: DeviceLike | None, dtype: DType | None
) -> Parameter:
    """Return a parameter that is yet to be filled."""
    return Parameter(empty(shape, float32 if dtype is None else dtype, device))


def default_uniform_(weight: Tensor, bias: Tensor | None, generator: Generator | None) -> None:
    """Fill the weight and bias of a linear or convolutional layer as PyTorch does.

    Kaiming-uniform with ``a = sqrt(5)``, which is uniform in (-1/sqrt(fan_in), 1/sqrt(fan_in)).
    """
    fan_in = fans(weight)[0]
    bound = 1.0 / math.sqrt(fan_in)
    uniform_(weight, -bound, bound, generator=generator)
    if bias is not None:
        uniform_(bias, -bound, bound, generator=generator)


def check_sizes(layer: str, **sizes: Any) -> None:
    """Check the sizes that a layer was given.

    Raises:
        ShapeError: One is not a positive whole number.
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ShapeError(f"{layer}: {name} is a whole number of at least 1; got {size!r}")


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode is 'fan_in' or 'fan_out', not {mode!r}")
    fan = fans(tensor)[0 if mode == "fan_in" else 1]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _normal_cdf(x: float) -> float:
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


def _fill(tensor: Tensor, values: Tensor) -> Tensor:
    with no_grad():
        tensor.copy_(values)
    return tensor
