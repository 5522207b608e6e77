"""One step of an optimizer, in place on a parameter and its state.

The learning rate and the number of the step change from step to step, so they are tensors: a
recorded step can be run again with others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.dtypes import compute_dtype
from neurenix.errors import ShapeError
from neurenix.ops import elementwise as ew
from neurenix.ops.op import TensorMeta, composite

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


def _same(x: Any) -> TensorMeta:
    return TensorMeta(x.shape, x.dtype)


def _sgd_meta(param: Any, grad: Any, lr: Any, *, weight_decay: float) -> TensorMeta:
    return _same(param)


def _momentum_meta(
    param: Any,
    grad: Any,
    momentum_buffer: Any,
    lr: Any,
    *,
    momentum: float,
    dampening: float,
    nesterov: bool,
    weight_decay: float,
    first_step: bool,
) -> tuple[TensorMeta, ...]:
    return _same(param), _same(momentum_buffer)


def _adam_meta(
    param: Any,
    grad: Any,
    exp_avg: Any,
    exp_avg_sq: Any,
    lr: Any,
    step: Any,
    *,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> tuple[TensorMeta, ...]:
    return _same(param), _same(exp_avg), _same(exp_avg_sq)


_sgd_step = composite("sgd_step", meta=_sgd_meta, donates={0: 0}, differentiable=False)
_sgd_momentum_step = composite(
    "sgd_momentum_step",
    meta=_momentum_meta,
    outputs=("param", "momentum_buffer"),
    donates={0: 0, 1: 2},
    differentiable=False,
)
_adam_step = composite(
    "adam_step",
    meta=_adam_meta,
    outputs=("param", "exp_avg", "exp_avg_sq"),
    donates={0: 0, 1: 2, 2: 3},
    differentiable=False,
)


def _wide(x: Tensor) -> Tensor:
    """Return a value in the dtype to compute in."""
    return x.astype(compute_dtype(x.dtype))


def _decayed(grad: Tensor, param: Tensor, weight_decay: float) -> Tensor:
    grad = grad.astype(param.dtype)
    return grad + param * weight_decay if weight_decay else grad


@_sgd_step.decompose
def _(param: Tensor, grad: Tensor, lr: Tensor, *, weight_decay: float) -> Tensor:
    p = _wide(param)
    return (p - lr.astype(p.dtype) * _decayed(grad, p, weight_decay)).astype(param.dtype)


@_sgd_momentum_step.decompose
def _(
    param: Tensor,
    grad: Tensor,
    momentum_buffer: Tensor,
    lr: Tensor,
    *,
    momentum: float,
    dampening: float,
    nesterov: bool,
    weight_decay: float,
    first_step: bool,
) -> tuple[Tensor, Tensor]:
    p = _wide(param)
    update = _decayed(grad, p, weight_decay)
    average = update
    if not first_step:
        average = _wide(momentum_buffer) * momentum + update * (1.0 - dampening)
    update = update + average * momentum if nesterov else average
    stepped = p - lr.astype(p.dtype) * update
    return stepped.astype(param.dtype), average.astype(momentum_buffer.dtype)


@_adam_step.decompose
def _(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    lr: Tensor,
    step: Tensor,
    *,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    p = _wide(param)
    rate, count = lr.astype(p.dtype), step.astype(p.dtype)
    g = _decayed(grad, p, 0.0 if decoupled else weight_decay)
    first, second = _wide(exp_avg), _wide(exp_avg_sq)
    first = first + (g - first) * (1.0 - beta1)
    second = second * beta2 + g * g * (1.0 - beta2)
    step_size = rate / (1.0 - ew.pow(beta1, count))
    root = ew.sqrt(1.0 - ew.pow(beta2, count))
    if decoupled and weight_decay:
        p = p * (1.0 - rate * weight_decay)
    p = p - step_size * first / (ew.sqrt(second) / root + eps)
    return (
        p.astype(param.dtype),
        first.astype(exp_avg.dtype),
        second.astype(exp_avg_sq.dtype),
    )


def _check(name: str, param: Tensor, grad: Tensor, *state: Tensor) -> None:
    for tensor in (grad, *state):
        if tensor.shape != param.shape:
            raise ShapeError(
                f"{name} of a parameter of shape {param.shape} expects a gradient and state of "
                f"that shape, but got {tensor.shape}"
            )


def sgd_step(
    param: Tensor,
    grad: Tensor,
    momentum_buffer: Tensor | None,
    lr: Tensor,
    *,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    first_step: bool = False,
) -> None:
    """Take one step of stochastic gradient descent, in place.

    ``g = grad + weight_decay * param``; without a momentum buffer ``param -= lr * g``, else
    ``buffer = momentum * buffer + (1 - dampening) * g`` (the first step sets it to g) and
    ``param -= lr * buffer``, or with Nesterov's momentum ``param -= lr * (g + momentum * buffer)``.

    Args:
        param: The parameter, which is changed.
        grad: Its gradient.
        momentum_buffer: The average of gradients, which is changed; None without momentum.
        lr: The learning rate, 0-d.
        momentum: The share of the old buffer that stays.
        dampening: What is taken from the gradient's share.
        nesterov: Whether the momentum is Nesterov's.
        weight_decay: Strength of the L2 penalty.
        first_step: Whether the buffer is to be set instead of updated.

    Raises:
        ShapeError: The shapes differ.

    Reference:
        I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and
        momentum in deep learning", ICML 2013.
    """
    if momentum_buffer is None:
        _check("sgd_step", param, grad)
        _sgd_step(param, grad, lr, weight_decay=float(weight_decay))
        return
    _check("sgd_step", param, grad, momentum_buffer)
    _sgd_momentum_step(
        param,
        grad,
        momentum_buffer,
        lr,
        momentum=float(momentum),
        dampening=float(dampening),
        nesterov=nesterov,
        weight_decay=float(weight_decay),
        first_step=first_step,
    )


def adam_step(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    lr: Tensor,
    step: Tensor,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> None:
    """Take one step of Adam, or of AdamW, in place.

    ``m = beta1 m + (1 - beta1) g``, ``v = beta2 v + (1 - beta2) g^2``,
    ``param -= lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps)``

    Args:
        param: The parameter, which is changed.
        grad: g, its gradient.
        exp_avg: m, which is changed.
        exp_avg_sq: v, which is changed.
        lr: The learning rate, 0-d.
        step: The number of this step, from 1, 0-d.
        beta1: The share of the old m that stays.
        beta2: The share of the old v that stays.
        eps: Keeps the divisor from 0.
        weight_decay: Strength of the L2 penalty, or of the decay.
        decoupled: Whether the weights decay by ``lr * weight_decay`` (AdamW), instead of a
            penalty in the gradient (Adam).

    Raises:
        ShapeError: The shapes differ.

    Reference:
        D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015;
        I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """
    _check("adam_step", param, grad, exp_avg, exp_avg_sq)
    _adam_step(
        param,
        grad,
        exp_avg,
        exp_avg_sq,
        lr,
        step,
        beta1=float(beta1),
        beta2=float(beta2),
        eps=float(eps),
        weight_decay=float(weight_decay),
        decoupled=decoupled,
    )
