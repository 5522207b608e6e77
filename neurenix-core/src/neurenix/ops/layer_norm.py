"""Normalisation of each sample by the mean and variance of a layer, or of groups of channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurenix.dtypes import compute_dtype
from neurenix.errors import ShapeError
from neurenix.ops import elementwise as ew
from neurenix.ops.batch_norm import check_floating, column
from neurenix.ops.mode import mode
from neurenix.ops.movement import reshape
from neurenix.ops.op import Shape, TensorMeta, composite
from neurenix.ops.shapes import element_count

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


def _layer_meta(x: Any, weight: Any, bias: Any, *, axes: int, eps: float) -> tuple[TensorMeta, ...]:
    stat = TensorMeta(x.shape[: len(x.shape) - axes], compute_dtype(x.dtype))
    return TensorMeta(x.shape, x.dtype), stat, stat


def _layer_backward_meta(
    grad_out: Any, x: Any, weight: Any, mean: Any, rstd: Any, *, axes: int, eps: float
) -> tuple[TensorMeta, ...]:
    parameter = TensorMeta(x.shape[len(x.shape) - axes :], x.dtype)
    return TensorMeta(x.shape, x.dtype), parameter, parameter


_layer_norm = composite("layer_norm", meta=_layer_meta, outputs=("out", "mean", "rstd"))
_layer_norm_backward = composite(
    "layer_norm_backward", meta=_layer_backward_meta, outputs=("dx", "dweight", "dbias")
)


@_layer_norm.decompose
def _(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, *, axes: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    last = tuple(range(x.ndim - axes, x.ndim))
    wide = x.astype(compute_dtype(x.dtype))
    mean = wide.mean(last, keepdims=True)
    rstd = 1.0 / ew.sqrt(wide.var(last, keepdims=True) + eps)
    out = (wide - mean) * rstd
    if weight is not None:
        out = out * weight
    if bias is not None:
        out = out + bias
    rows = x.shape[: x.ndim - axes]
    return out.astype(x.dtype), reshape(mean, rows), reshape(rstd, rows)


@_layer_norm_backward.decompose
def _(
    grad_out: Tensor,
    x: Tensor,
    weight: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    *,
    axes: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    rows = x.ndim - axes
    first, last = tuple(range(rows)), tuple(range(rows, x.ndim))
    wide, grad = x.astype(mean.dtype), grad_out.astype(mean.dtype)
    if mode.grad and x.requires_grad:
        # To be differentiated again: mean and rstd depend on x, and are no constants.
        mean = wide.mean(last, keepdims=True)
        rstd = 1.0 / ew.sqrt(wide.var(last, keepdims=True) + eps)
    else:
        shape: Shape = (*x.shape[:rows], *(1,) * axes)
        mean, rstd = reshape(mean, shape), reshape(rstd, shape)
    normal = (wide - mean) * rstd
    # Without leading axes there is nothing to sum; no axis at all means all of them.
    dweight = (grad * normal).sum(first) if first else grad * normal
    dbias = grad.sum(first) if first else grad
    scaled = grad if weight is None else grad * weight
    level = scaled.mean(last, keepdims=True)
    slope = (scaled * normal).mean(last, keepdims=True)
    dx = (scaled - level - normal * slope) * rstd
    return dx.astype(x.dtype), dweight.astype(x.dtype), dbias.astype(x.dtype)


@_layer_norm.vjp("x", "weight", "bias")
def _(
    grad: Tensor,
    x: Tensor,
    weight: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    axes: int,
    eps: float,
) -> tuple[Tensor, ...]:
    return _layer_norm_backward.all(grad, x, weight, mean, rstd, axes=axes, eps=eps)


def layer_norm(
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Return x with mean 0 and variance 1 over its last axes.

    ``(x - mean) / sqrt(var + eps) * weight + bias``

    Args:
        x: ``(..., *normalized_shape)``.
        normalized_shape: The last axes' sizes, or the last axis's.
        weight: Of shape ``normalized_shape``, or None for 1.
        bias: Of shape ``normalized_shape``, or None for 0.
        eps: Keeps the divisor from 0.

    Raises:
        ShapeError: The shapes do not fit together.

    Reference:
        J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", 2016.
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    axes = len(shape)
    if not shape or x.shape[max(x.ndim - axes, 0) :] != shape:
        raise ShapeError(
            f"layer_norm over {shape} expects x of shape (..., {', '.join(map(str, shape))}), but "
            f"got {x.shape}"
        )
    check_floating("layer_norm", x)
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.shape != shape:
            raise ShapeError(f"layer_norm expects {name} of shape {shape}, but got {tensor.shape}")
    return _layer_norm(x, weight, bias, axes=axes, eps=eps)


def group_norm(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Return x with mean 0 and variance 1 over each group of channels of each sample.

    Args:
        x: ``(N, C, ...)``.
        num_groups: The number of groups, which divides C.
        weight: ``(C,)``, or None for 1.
        bias: ``(C,)``, or None for 0.
        eps: Keeps the divisor from 0.

    Raises:
        ShapeError: The shapes do not fit together.

    Reference:
        Y. Wu, K. He, "Group normalization", ECCV 2018.
    """
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm with {num_groups} groups expects x of shape (N, C, ...) with C divisible "
            f"by {num_groups}, but got {x.shape}"
        )
    check_floating("group_norm", x)
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.shape != x.shape[1:2]:
            raise ShapeError(
                f"group_norm expects {name} of shape {x.shape[1:2]}, but got {tensor.shape}"
            )
    width = element_count(x.shape[1:]) // num_groups
    groups = reshape(x, (x.shape[0], num_groups, width))
    out = reshape(_layer_norm(groups, None, None, axes=1, eps=eps), x.shape)
    if weight is not None:
        out = out * column(weight, x.ndim)
    if bias is not None:
        out = out + column(bias, x.ndim)
    return out.astype(x.dtype)
