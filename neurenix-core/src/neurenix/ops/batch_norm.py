"""Normalisation of each channel by a batch's, or running, mean and variance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.dtypes import compute_dtype, is_floating
from neurenix.errors import DTypeError, ShapeError
from neurenix.ops import elementwise as ew
from neurenix.ops.mode import mode
from neurenix.ops.movement import reshape
from neurenix.ops.op import TensorMeta, composite
from neurenix.ops.shapes import element_count

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


def _train_meta(x: Any, weight: Any, bias: Any, *, eps: float) -> tuple[TensorMeta, ...]:
    stat = TensorMeta(x.shape[1:2], compute_dtype(x.dtype))
    return TensorMeta(x.shape, x.dtype), stat, stat, stat


def _inference_meta(
    x: Any, mean: Any, var: Any, weight: Any, bias: Any, *, eps: float
) -> TensorMeta:
    return TensorMeta(x.shape, x.dtype)


def _batch_backward_meta(
    grad_out: Any, x: Any, weight: Any, mean: Any, rstd: Any, *, eps: float
) -> tuple[TensorMeta, ...]:
    parameter = TensorMeta(x.shape[1:2], x.dtype)
    return TensorMeta(x.shape, x.dtype), parameter, parameter


_batch_norm_train = composite(
    "batch_norm_train", meta=_train_meta, outputs=("out", "mean", "rstd", "var")
)
_batch_norm_inference = composite("batch_norm_inference", meta=_inference_meta)
_batch_norm_backward = composite(
    "batch_norm_backward", meta=_batch_backward_meta, outputs=("dx", "dweight", "dbias")
)


def column(stat: Tensor, ndim: int) -> Tensor:
    """Give a value a channel the shape (1, C, 1, …) that broadcasts against x."""
    return reshape(stat, (1, stat.size, *(1,) * (ndim - 2)))


def _but_channels(x: Tensor) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


@_batch_norm_train.decompose
def _(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, *, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    axes = _but_channels(x)
    wide = x.astype(compute_dtype(x.dtype))
    mean = wide.mean(axes)
    var = wide.var(axes)
    rstd = 1.0 / ew.sqrt(var + eps)
    out = (wide - column(mean, x.ndim)) * column(rstd, x.ndim)
    if weight is not None:
        out = out * column(weight, x.ndim)
    if bias is not None:
        out = out + column(bias, x.ndim)
    return out.astype(x.dtype), mean, rstd, var


@_batch_norm_inference.decompose
def _(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    eps: float,
) -> Tensor:
    scale = _scale(var, weight, eps)
    shift = -mean * scale if bias is None else bias - mean * scale
    out = x.astype(scale.dtype) * column(scale, x.ndim) + column(shift, x.ndim)
    return out.astype(x.dtype)


def _scale(var: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    rstd = 1.0 / ew.sqrt(var.astype(compute_dtype(var.dtype)) + eps)
    return rstd if weight is None else rstd * weight


@_batch_norm_backward.decompose
def _(
    grad_out: Tensor,
    x: Tensor,
    weight: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    *,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    axes = _but_channels(x)
    wide, grad = x.astype(mean.dtype), grad_out.astype(mean.dtype)
    if mode.grad and x.requires_grad:
        # To be differentiated again: mean and rstd depend on x, and are no constants.
        mean = wide.mean(axes)
        rstd = 1.0 / ew.sqrt(wide.var(axes) + eps)
    normal = (wide - column(mean, x.ndim)) * column(rstd, x.ndim)
    dweight, dbias = (grad * normal).sum(axes), grad.sum(axes)
    scale = rstd if weight is None else rstd * weight
    count = float(max(element_count(tuple(x.shape[a] for a in axes)), 1))
    level = column(dbias / count, x.ndim) + normal * column(dweight / count, x.ndim)
    dx = (grad - level) * column(scale, x.ndim)
    return dx.astype(x.dtype), dweight.astype(x.dtype), dbias.astype(x.dtype)


@_batch_norm_train.vjp("x", "weight", "bias")
def _(
    grad: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, rstd: Tensor, eps: float
) -> tuple[Tensor, ...]:
    return _batch_norm_backward.all(grad, x, weight, mean, rstd, eps=eps)


@_batch_norm_inference.vjp("x")
def _(grad: Tensor, var: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    return grad * column(_scale(var, weight, eps), grad.ndim)


@_batch_norm_inference.vjp("weight")
def _(grad: Tensor, x: Tensor, mean: Tensor, var: Tensor, eps: float) -> Tensor:
    normal = (x - column(mean, x.ndim)) * column(_scale(var, None, eps), x.ndim)
    return (grad * normal).sum(_but_channels(x))


_batch_norm_inference.vjp("bias")(lambda grad: grad.sum(_but_channels(grad)))


@_batch_norm_inference.vjp("mean")
def _(grad: Tensor, var: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    return -grad.sum(_but_channels(grad)) * _scale(var, weight, eps)


@_batch_norm_inference.vjp("var")
def _(
    grad: Tensor, x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, eps: float
) -> Tensor:
    centred = (grad * (x - column(mean, x.ndim))).sum(_but_channels(x))
    return centred * _scale(var, weight, eps) * -0.5 / (var + eps)


def _average_meta(running: Any, value: Any, *, momentum: float) -> TensorMeta:
    return TensorMeta(running.shape, running.dtype)


_running_average = composite(
    "running_average",
    meta=_average_meta,
    donates={0: 0},
    differentiable=False,
    doc="""Move a running average towards a value, in place.

    ``running += momentum * (value - running)``""",
)


@_running_average.decompose
def _(running: Tensor, value: Tensor, *, momentum: float) -> Tensor:
    return (running + momentum * (value - running)).astype(running.dtype)


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return x with each channel's mean and variance made 0 and 1.

    ``(x - mean) / sqrt(var + eps) * weight + bias``, with the batch's own statistics in training
    (the variance divided by the count), else with the running ones.

    Args:
        x: ``(N, C, ...)``.
        running_mean: ``(C,)``; training moves it towards the batch's mean, in place. None: not
            kept, and the batch's own statistics are used.
        running_var: ``(C,)``; likewise, towards the unbiased variance.
        weight: ``(C,)``, or None for 1.
        bias: ``(C,)``, or None for 0.
        training: Whether the batch's own statistics are used.
        momentum: The share of the batch in the new running statistics.
        eps: Keeps the divisor from 0.

    Raises:
        ShapeError: The shapes do not fit together, or a batch in training has a single value a
            channel, whose variance is nothing.

    Reference:
        S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by
        reducing internal covariate shift", ICML 2015.
    """
    if x.ndim < 2:
        raise ShapeError(f"batch_norm expects x of shape (N, C, ...), but got {x.shape}")
    check_floating("batch_norm", x)
    named = (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    )
    for name, tensor in named:
        if tensor is not None and tensor.shape != x.shape[1:2]:
            raise ShapeError(
                f"batch_norm of x of shape {x.shape} expects {name} of shape {x.shape[1:2]}, but "
                f"got {tensor.shape}"
            )
    if not training and running_mean is not None and running_var is not None:
        return _batch_norm_inference(x, running_mean, running_var, weight, bias, eps=eps)
    count = x.size // max(x.shape[1], 1)
    if count == 1:
        raise ShapeError(
            f"batch_norm in training needs more than one value a channel, but got x of shape "
            f"{x.shape}; use a larger batch, or training=False"
        )
    out, mean, _, var = _batch_norm_train.all(x, weight, bias, eps=eps)
    if training and count:
        unbiased = var.detach() * (count / (count - 1))
        if running_mean is not None:
            _running_average(running_mean.detach(), mean.detach(), momentum=momentum)
        if running_var is not None:
            _running_average(running_var.detach(), unbiased, momentum=momentum)
    return out


def check_floating(name: str, x: Tensor) -> None:
    """Raise where a tensor is not of a floating dtype.

    Raises:
        DTypeError: It is not.
    """
    if not is_floating(x.dtype):
        raise DTypeError(f"{name} is for floating dtypes, not {x.dtype}; cast with .float()")
