"""The layers and losses as functions, under PyTorch's names.

What needs no more than the op is the op itself; the rest checks or prepares its arguments first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from neurenix import ops
from neurenix.dtypes import bool_, float16, is_floating
from neurenix.errors import DTypeError, ShapeError
from neurenix.ops import (
    adaptive_avg_pool2d,
    avg_pool2d,
    batch_norm,
    conv2d,
    flatten,
    gelu,
    group_norm,
    l1_loss,
    layer_norm,
    leaky_relu,
    linear,
    max_pool2d,
    mse_loss,
    one_hot,
    relu,
    scaled_dot_product_attention,
    sigmoid,
    silu,
    smooth_l1_loss,
    tanh,
)
from neurenix.random import rand

if TYPE_CHECKING:
    from neurenix.random import Generator
    from neurenix.tensor import Tensor

__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "cross_entropy",
    "dropout",
    "embedding",
    "flatten",
    "gelu",
    "group_norm",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "multi_head_attention",
    "nll_loss",
    "one_hot",
    "relu",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "tanh",
]

Reduction: TypeAlias = Literal["mean", "sum", "none"]


def softmax(x: Tensor, axis: int = -1, *, dim: int | None = None) -> Tensor:
    """Return probabilities, ``exp(x) / sum(exp(x))`` along an axis; ``dim`` is another name."""
    return ops.softmax(x, axis=axis if dim is None else dim)


def log_softmax(x: Tensor, axis: int = -1, *, dim: int | None = None) -> Tensor:
    """Return log-probabilities along an axis; ``dim`` is another name for it."""
    return ops.log_softmax(x, axis=axis if dim is None else dim)


def dropout(
    x: Tensor, p: float = 0.5, training: bool = True, *, generator: Generator | None = None
) -> Tensor:
    """Set elements to zero with probability p and scale the rest by 1/(1-p), if training."""
    if p == 0.0 or not training:
        return x
    kept = rand(x.shape, device=x.device, generator=generator) >= p
    scale = 1.0 / (1.0 - p) if p < 1.0 else 0.0
    return ops.where(kept, x * scale, 0.0)


def embedding(indices: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Return ``weight[indices]``; the row ``padding_idx`` gets no gradient."""
    out = ops.embedding(indices, weight)
    if padding_idx is None:
        return out
    padding = (indices == padding_idx % weight.shape[0]).unsqueeze(-1)
    return ops.where(padding, out.detach(), out)


def multi_head_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    num_heads: int,
    *,
    mask: Tensor | None = None,
    is_causal: bool = False,
    dropout_p: float = 0.0,
    generator: Generator | None = None,
    need_weights: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attend in several heads, each on its share of the features; without projections.

    Args:
        query: ``(N, T, E)``.
        key: ``(N, S, E)``.
        value: ``(N, S, V)``.
        num_heads: The number of heads, which divides E and V.
        mask: Broadcastable to ``(N, num_heads, T, S)``: True where one may attend, or a
            floating tensor that is added to the scores.
        is_causal: Whether position t sees no position after t.
        dropout_p: The probability with which a weight is dropped.
        generator: Where the dropout is drawn from.
        need_weights: Whether the weights are returned too, which costs memory.

    Returns:
        The result ``(N, T, V)``, and the weights ``(N, num_heads, T, S)`` or None.
    """
    q, k, v = (_split_heads(x, num_heads) for x in (query, key, value))
    if dropout_p == 0.0 and not need_weights:
        out = ops.scaled_dot_product_attention(q, k, v, mask=mask, is_causal=is_causal)
        return _join_heads(out), None
    scores = ops.matmul(q * q.shape[-1] ** -0.5, k.transpose(-2, -1))
    allowed = _causal(scores) if is_causal else None
    if mask is not None and mask.dtype == bool_:
        allowed = mask if allowed is None else allowed & mask
    elif mask is not None:
        scores = scores + mask
    if allowed is None:
        weights = ops.softmax(scores, axis=-1)
    else:
        # As in the op: a query that may attend to nothing gets weights of 0 instead of NaN.
        lowest = -1e4 if scores.dtype == float16 else -1e30
        weights = ops.softmax(ops.where(allowed, scores, lowest), axis=-1)
        weights = ops.where(allowed, weights, 0.0)
    weights = dropout(weights, dropout_p, generator=generator)
    return _join_heads(ops.matmul(weights, v)), weights if need_weights else None


def _split_heads(x: Tensor, num_heads: int) -> Tensor:
    batch, length, features = x.shape
    if features % num_heads:
        raise ShapeError(f"{features} features cannot be split into {num_heads} heads")
    return x.reshape((batch, length, num_heads, features // num_heads)).transpose(1, 2)


def _join_heads(x: Tensor) -> Tensor:
    batch, heads, length, features = x.shape
    return x.transpose(1, 2).reshape((batch, length, heads * features))


def _causal(scores: Tensor) -> Tensor:
    length, source = scores.shape[-2:]
    rows = ops.arange(length, device=scores.device).unsqueeze(1)
    return ops.arange(source, device=scores.device) <= rows


# Losses


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the cross-entropy of logits; see `neurenix.nn.CrossEntropyLoss`."""
    if ignore_index is None or is_floating(target.dtype):
        return ops.cross_entropy(
            input, target, weight, reduction=reduction, label_smoothing=label_smoothing
        )
    valid, known = _known(target, ignore_index)
    losses = ops.cross_entropy(
        input, known, weight, reduction="none", label_smoothing=label_smoothing
    )
    return _reduce_valid(losses, valid, known, weight, reduction)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the negative log-likelihood of log-probabilities; see `neurenix.nn.NLLLoss`."""
    if is_floating(target.dtype):
        raise DTypeError(f"nll_loss takes class indices of an integer dtype, not {target.dtype}")
    if ignore_index is None:
        return ops.nll_loss(input, target, weight, reduction=reduction)
    valid, known = _known(target, ignore_index)
    losses = ops.nll_loss(input, known, weight, reduction="none")
    return _reduce_valid(losses, valid, known, weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: Reduction = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Return the binary cross-entropy of logits; see `neurenix.nn.BCEWithLogitsLoss`."""
    return ops.bce_with_logits(
        input, target, weight=weight, pos_weight=pos_weight, reduction=reduction
    )


def _known(target: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Return where targets count, and targets with a harmless class where they do not."""
    valid = target != ignore_index
    return valid, ops.where(valid, target, 0)


def _reduce_valid(
    losses: Tensor, valid: Tensor, target: Tensor, weight: Tensor | None, reduction: str
) -> Tensor:
    losses = ops.where(valid, losses, 0.0)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction != "mean":
        raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")
    counted = valid.astype(losses.dtype)
    if weight is not None:
        counted = counted * weight[target]
    return losses.sum() / counted.sum()
