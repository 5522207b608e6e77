"""Limits on gradients, applied between backward and step."""

from __future__ import annotations

import math
from collections.abc import Iterable

from neurenix import ops
from neurenix.autograd import no_grad
from neurenix.dtypes import compute_dtype
from neurenix.errors import NeurenixError
from neurenix.tensor import Tensor


class NonFiniteGradientError(NeurenixError, RuntimeError):
    """The norm of the gradients is infinite or not a number."""


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients together so that their norm is at most ``max_norm``.

    The norm is that of one vector of all gradients. No value is read back from the device,
    unless ``error_if_nonfinite`` asks for it.

    Args:
        parameters: A tensor, or an iterable of them; those without a gradient are passed over.
        max_norm: The largest norm.
        norm_type: The p of the p-norm; ``float("inf")`` for the largest absolute value.
        error_if_nonfinite: Whether a norm that is infinite or not a number is an error.

    Returns:
        The norm before scaling, a 0-d tensor.

    Raises:
        NonFiniteGradientError: The norm is not finite, and ``error_if_nonfinite`` is set.
    """
    params = _with_grad(parameters)
    if not params:
        return ops.zeros(())
    with no_grad():
        norm = _norm([grad for _, grad in params], float(norm_type))
        if error_if_nonfinite and not math.isfinite(norm.item()):
            raise NonFiniteGradientError(
                f"the norm of the gradients is {norm.item()}, so they cannot be clipped to "
                f"{max_norm}. Look for an overflow or a division by zero, or lower the learning "
                "rate"
            )
        # The summand keeps the factor finite for vanishing gradients; it is PyTorch's.
        factor = ops.clip(max_norm / (norm + 1e-6), max=1.0)
        for param, grad in params:
            # A new tensor: backward may have given one gradient to several parameters.
            param.grad = (grad * factor.to(grad.device)).astype(grad.dtype)
    return norm


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of the gradients to ``[-clip_value, clip_value]``.

    Args:
        parameters: A tensor, or an iterable of them; those without a gradient are passed over.
        clip_value: The largest absolute value.
    """
    if clip_value < 0:
        raise ValueError(f"clip_value is not negative; got {clip_value}")
    with no_grad():
        for param, grad in _with_grad(parameters):
            param.grad = ops.clip(grad, -float(clip_value), float(clip_value))


def _with_grad(parameters: Tensor | Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    params = [parameters] if isinstance(parameters, Tensor) else parameters
    return [(param, param.grad) for param in params if param.grad is not None]


def _norm(grads: list[Tensor], p: float) -> Tensor:
    home = grads[0].device
    wide = [grad.astype(compute_dtype(grad.dtype)) for grad in grads]
    if p == math.inf:
        parts = [ops.abs(grad).max() if grad.size else ops.zeros(()) for grad in wide]
        return ops.stack([part.to(home) for part in parts]).max()
    if p == 2.0:
        total = [(grad * grad).sum().to(home) for grad in wide]
        return ops.sqrt(ops.stack(total).sum())
    total = [(ops.abs(grad) ** p).sum().to(home) for grad in wide]
    return ops.stack(total).sum() ** (1.0 / p)
