"""Losses: cross-entropies, and distances element by element."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from neurenix.dtypes import float_dtype, int32, int64, is_floating, result_dtype
from neurenix.errors import ShapeError
from neurenix.ops import elementwise as ew
from neurenix.ops.activation import sigmoid
from neurenix.ops.creation import arange
from neurenix.ops.elementwise import Unary
from neurenix.ops.indexing import gather, take
from neurenix.ops.mode import mode
from neurenix.ops.movement import permute, reshape, unsqueeze
from neurenix.ops.op import TensorMeta, composite
from neurenix.ops.shapes import same_float
from neurenix.ops.softmax import log_softmax

if TYPE_CHECKING:
    from neurenix.tensor import Tensor

Reduction: TypeAlias = Literal["mean", "sum", "none"]


def _reduce(losses: Tensor, reduction: Reduction) -> Tensor:
    if reduction == "mean":
        return losses.mean()
    if reduction == "sum":
        return losses.sum()
    if reduction == "none":
        return losses
    raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")


# Classes ----------------------------------------------------------------------------------------


def _cross_entropy_meta(logits: Any, target: Any) -> tuple[TensorMeta, TensorMeta]:
    return TensorMeta(logits.shape[:1], logits.dtype), TensorMeta(logits.shape, logits.dtype)


def _cross_entropy_backward_meta(
    grad_out: Any, logits: Any, log_probs: Any, target: Any
) -> TensorMeta:
    return TensorMeta(logits.shape, logits.dtype)


_softmax_cross_entropy = composite(
    "softmax_cross_entropy", meta=_cross_entropy_meta, outputs=("loss", "log_probs")
)
_softmax_cross_entropy_backward = composite(
    "softmax_cross_entropy_backward", meta=_cross_entropy_backward_meta
)


def _pick(log_probs: Tensor, target: Tensor) -> Tensor:
    """Return the element of each row (N, C) that the target names."""
    return reshape(gather(log_probs, unsqueeze(target, 1), 1), target.shape)


@_softmax_cross_entropy.decompose
def _(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    log_probs = log_softmax(logits, 1)
    return -_pick(log_probs, target), log_probs


@_softmax_cross_entropy_backward.decompose
def _(grad_out: Tensor, logits: Tensor, log_probs: Tensor, target: Tensor) -> Tensor:
    if mode.grad and logits.requires_grad:
        # To be differentiated again: the log-probabilities depend on the logits.
        log_probs = log_softmax(logits, 1)
    classes = arange(logits.shape[1], dtype=int32, device=logits.device)
    chosen = (unsqueeze(target.astype(int32), 1) == classes).astype(logits.dtype)
    return (ew.exp(log_probs) - chosen) * unsqueeze(grad_out, 1)


@_softmax_cross_entropy.vjp("logits")
def _(grad: Tensor, logits: Tensor, log_probs: Tensor, target: Tensor) -> Tensor:
    return _softmax_cross_entropy_backward(grad, logits, log_probs, target)


def _classes_last(name: str, x: Tensor) -> Tensor:
    """Return ``(N, C, ...)`` or ``(C,)`` as rows of classes, ``(N ..., C)``."""
    if x.ndim == 0:
        raise ShapeError(f"{name} expects scores of shape (N, C, ...) or (C,), got a single number")
    x = x.astype(float_dtype(x.dtype))
    if x.ndim > 2:
        x = permute(x, (0, *range(2, x.ndim), 1))
    return reshape(x, (x.size // max(x.shape[-1], 1), x.shape[-1]))


def _class_indices(target: Tensor) -> Tensor:
    """Return class indices in one row, in a dtype that gather takes."""
    flat = reshape(target, (target.size,))
    return flat if flat.dtype == int32 else flat.astype(int64)


def _check_classes(name: str, scores: Tensor, target: Tensor, weight: Tensor | None) -> None:
    shape = (*scores.shape[:1], *scores.shape[2:]) if scores.ndim > 1 else ()
    if not is_floating(target.dtype) and target.shape != shape:
        raise ShapeError(
            f"{name} of scores of shape {scores.shape} expects class indices of shape {shape}, "
            f"but got {target.shape}"
        )
    if is_floating(target.dtype) and target.shape != scores.shape:
        raise ShapeError(
            f"{name} of scores of shape {scores.shape} expects class probabilities of that shape, "
            f"but got {target.shape}; class indices are integers"
        )
    classes = scores.shape[1 if scores.ndim > 1 else 0]
    if weight is not None and weight.shape != (classes,):
        raise ShapeError(f"{name} expects a weight a class, {(classes,)}, but got {weight.shape}")


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the cross-entropy between classes and the softmax of logits.

    ``-sum over c of weight[c] q[c] log(softmax(logits)[c])``, where q is 1 at the target class,
    or the given probabilities; smoothing mixes it with the uniform distribution.

    Args:
        logits: Scores, ``(N, C, ...)`` or ``(C,)``.
        target: Class indices, ``(N, ...)``, of an integer dtype; or class probabilities of the
            logits' shape.
        weight: A weight a class, ``(C,)``. The mean over class indices divides by the sum of the
            targets' weights, that over probabilities by the number of samples.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        label_smoothing: The share of the uniform distribution, 0 to 1.

    Raises:
        ShapeError: The shapes do not fit together.
        IndexError: A target is no class.

    Reference:
        C. Szegedy et al., "Rethinking the inception architecture for computer vision", CVPR 2016
        (label smoothing).
    """
    _check_classes("cross_entropy", logits, target, weight)
    shape = (*logits.shape[:1], *logits.shape[2:]) if logits.ndim > 1 else ()
    rows = _classes_last("cross_entropy", logits)
    if is_floating(target.dtype):
        losses = _soft(rows, _classes_last("cross_entropy", target), weight, label_smoothing)
        return _reduce(reshape(losses, shape), reduction)
    classes = _class_indices(target)
    if label_smoothing == 0.0:
        losses = _softmax_cross_entropy(rows, classes)
        if weight is not None:
            losses = losses * take(weight, classes)
    else:
        log_probs = log_softmax(rows, 1)
        hard = -_pick(log_probs, classes)
        even = -(log_probs if weight is None else log_probs * weight).mean(1)
        if weight is not None:
            hard = hard * take(weight, classes)
        losses = hard * (1.0 - label_smoothing) + even * label_smoothing
    return _weighted_mean(losses, classes, weight, shape, reduction)


def _weighted_mean(
    losses: Tensor,
    classes: Tensor,
    weight: Tensor | None,
    shape: tuple[int, ...],
    reduction: Reduction,
) -> Tensor:
    if reduction == "mean" and weight is not None:
        return losses.sum() / take(weight, classes).sum()
    return _reduce(reshape(losses, shape), reduction)


def _soft(rows: Tensor, target: Tensor, weight: Tensor | None, smoothing: float) -> Tensor:
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / rows.shape[1]
    if weight is not None:
        target = target * weight
    return -(target * log_softmax(rows, 1)).sum(1)


def nll_loss(
    log_probs: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the negative log-likelihood of target classes, ``-weight[t] log_probs[t]``.

    Args:
        log_probs: Log-probabilities, ``(N, C, ...)`` or ``(C,)``.
        target: Class indices, ``(N, ...)``.
        weight: A weight a class, ``(C,)``; the mean divides by the sum of the targets' weights.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: The shapes do not fit together.
        IndexError: A target is no class.
    """
    _check_classes("nll_loss", log_probs, target, weight)
    shape = target.shape
    classes = _class_indices(target)
    losses = -_pick(_classes_last("nll_loss", log_probs), classes)
    if weight is not None:
        losses = losses * take(weight, classes)
    return _weighted_mean(losses, classes, weight, shape, reduction)


# Elements ---------------------------------------------------------------------------------------

softplus = Unary("softplus", meta=same_float, doc="Return log(1 + exp(x)).")


@softplus.decompose
def _(x: Tensor) -> Tensor:
    # Of the two equal forms, the one whose exponential does not overflow.
    small = ew.exp(-ew.abs(x))
    total = 1.0 + small
    # log(1 + small), with what is lost in the sum made good by a quotient that lost the same.
    tail = ew.where(total == 1.0, small, ew.log(total) * small / (total - 1.0))
    return ew.maximum(x, 0.0) + tail


softplus.vjp("x")(lambda grad, x: grad * sigmoid(x))


def _same_shape(name: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if input.shape != target.shape:
        raise ShapeError(
            f"{name} compares element by element and broadcasts nothing, but input has shape "
            f"{input.shape} and target {target.shape}; reshape one to the other"
        )
    dtype = float_dtype(result_dtype(input.dtype, target.dtype))
    return input.astype(dtype), target.astype(dtype)


def bce_with_logits(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the binary cross-entropy of logits.

    ``-weight (pos_weight y log(p) + (1 - y) log(1 - p))`` with ``p = sigmoid(logits)``, in a form
    that does not overflow.

    Args:
        logits: Scores of any shape.
        target: y, probabilities from 0 to 1, of the same shape.
        weight: Weights that broadcast to the loss.
        pos_weight: Weights of the positive part, which broadcast to the loss.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: Logits and target differ in shape.
    """
    logits, target = _same_shape("bce_with_logits", logits, target)
    # log(p) = -softplus(-x), log(1 - p) = -x - softplus(-x)
    slack = softplus(-logits)
    if pos_weight is not None:
        slack = slack * (1.0 + (pos_weight - 1.0) * target)
    losses = (1.0 - target) * logits + slack
    return _reduce(losses if weight is None else losses * weight, reduction)


def mse_loss(input: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return the squared error ``(input - target)^2``.

    Raises:
        ShapeError: They differ in shape.
    """
    input, target = _same_shape("mse_loss", input, target)
    difference = input - target
    return _reduce(difference * difference, reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return the absolute error ``|input - target|``.

    Raises:
        ShapeError: They differ in shape.
    """
    input, target = _same_shape("l1_loss", input, target)
    return _reduce(ew.abs(input - target), reduction)


def smooth_l1_loss(
    input: Tensor, target: Tensor, reduction: Reduction = "mean", beta: float = 1.0
) -> Tensor:
    """Return an error that is squared for small differences and absolute for large ones.

    With ``d = |input - target|``: ``d^2 / (2 beta)`` below beta, else ``d - beta / 2``.

    Raises:
        ShapeError: They differ in shape.
        ValueError: beta is negative.

    Reference:
        R. Girshick, "Fast R-CNN", ICCV 2015.
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_loss needs a beta of at least 0, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    input, target = _same_shape("smooth_l1_loss", input, target)
    difference = input - target
    distance = ew.abs(difference)
    squared = difference * difference * (0.5 / beta)
    return _reduce(ew.where(distance < beta, squared, distance - 0.5 * beta), reduction)
