"""Two-dimensional convolution and its gradients, which are convolutions themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from neurenix.dtypes import is_floating, result_dtype
from neurenix.errors import DTypeError, ShapeError
from neurenix.ops.indexing import flip
from neurenix.ops.matmul import matmul
from neurenix.ops.movement import dilate, pad, permute, reshape, slice, unfold
from neurenix.ops.op import Shape, TensorMeta, composite
from neurenix.ops.windows import (
    Padding,
    Pair,
    PairLike,
    as_padding,
    as_pair,
    check_windows,
    window_count,
)

if TYPE_CHECKING:
    from neurenix.tensor import Tensor

PaddingLike: TypeAlias = "int | str | Sequence[int] | Sequence[Sequence[int]]"


def _conv2d_meta(
    x: Any, weight: Any, bias: Any, *, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> TensorMeta:
    size = (
        window_count(x.shape[2 + a], weight.shape[2 + a], stride[a], padding[a], dilation[a])
        for a in (0, 1)
    )
    return TensorMeta((x.shape[0], weight.shape[0], *size), x.dtype)


def _grad_input_meta(
    grad_out: Any,
    weight: Any,
    *,
    input_shape: Shape,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> TensorMeta:
    return TensorMeta(input_shape, grad_out.dtype)


def _grad_weight_meta(
    grad_out: Any,
    x: Any,
    *,
    weight_shape: Shape,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> TensorMeta:
    return TensorMeta(weight_shape, grad_out.dtype)


_conv2d = composite("conv2d", meta=_conv2d_meta)
_conv2d_grad_input = composite("conv2d_grad_input", meta=_grad_input_meta)
_conv2d_grad_weight = composite("conv2d_grad_weight", meta=_grad_weight_meta)


def _columns(
    x: Tensor, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Tensor:
    """Return the windows as columns, ``(N, groups, C / groups * KH * KW, OH * OW)``."""
    padded = pad(x, ((0, 0), (0, 0), *padding))
    rows = unfold(padded, 2, kernel[0], stride[0], dilation[0])
    windows = unfold(rows, 3, kernel[1], stride[1], dilation[1])
    batch, channels, out_h, out_w = windows.shape[:4]
    taps = channels // groups * kernel[0] * kernel[1]
    return reshape(permute(windows, (0, 1, 4, 5, 2, 3)), (batch, groups, taps, out_h * out_w))


@_conv2d.decompose
def _(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Tensor:
    shape, _ = _conv2d_meta(
        x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    features, channels, *kernel = weight.shape
    columns = _columns(x, (kernel[0], kernel[1]), stride, padding, dilation, groups)
    taps = channels * kernel[0] * kernel[1]
    matrix = reshape(weight, (groups, features // groups, taps))
    out = reshape(matmul(matrix, columns), shape)
    return out if bias is None else out + reshape(bias, (features, 1, 1))


@_conv2d_grad_input.decompose
def _(
    grad_out: Tensor,
    weight: Tensor,
    *,
    input_shape: Shape,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Tensor:
    # The convolution of the gradient, its elements `stride` apart and padded so that the sizes
    # fit, with the kernel flipped and its channels exchanged.
    spread = dilate(grad_out, (1, 1, *stride))
    starts, widths = [0, 0], [(0, 0), (0, 0)]
    for a in (0, 1):
        reach = dilation[a] * (weight.shape[2 + a] - 1)
        before = reach - padding[a][0]
        after = input_shape[2 + a] + padding[a][0] - spread.shape[2 + a]
        starts.append(max(0, -before))
        widths.append((max(0, before), max(0, after)))
    padded = pad(spread, widths)
    sizes = [input_shape[2 + a] + dilation[a] * (weight.shape[2 + a] - 1) for a in (0, 1)]
    padded = slice(padded, tuple(starts), (*padded.shape[:2], *sizes), (1, 1, 1, 1))
    features, channels, *kernel = weight.shape
    split = reshape(weight, (groups, features // groups, channels, *kernel))
    exchanged = reshape(
        permute(split, (0, 2, 1, 3, 4)), (groups * channels, features // groups, *kernel)
    )
    return _conv2d(
        padded,
        flip(exchanged, (2, 3)),
        None,
        stride=(1, 1),
        padding=((0, 0), (0, 0)),
        dilation=dilation,
        groups=groups,
    )


@_conv2d_grad_weight.decompose
def _(
    grad_out: Tensor,
    x: Tensor,
    *,
    weight_shape: Shape,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Tensor:
    features, _, *kernel = weight_shape
    columns = _columns(x, (kernel[0], kernel[1]), stride, padding, dilation, groups)
    batch, _, taps, places = columns.shape
    columns = reshape(permute(columns, (1, 0, 3, 2)), (groups, batch * places, taps))
    rows = reshape(grad_out, (batch, groups, features // groups, places))
    rows = reshape(permute(rows, (1, 2, 0, 3)), (groups, features // groups, batch * places))
    return reshape(matmul(rows, columns), weight_shape)


@_conv2d.vjp("x")
def _(
    grad: Tensor,
    weight: Tensor,
    x_shape: Shape,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Tensor:
    return _conv2d_grad_input(
        grad,
        weight,
        input_shape=x_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


@_conv2d.vjp("weight")
def _(
    grad: Tensor,
    x: Tensor,
    weight_shape: Shape,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Tensor:
    return _conv2d_grad_weight(
        grad,
        x,
        weight_shape=weight_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


_conv2d.vjp("bias")(lambda grad: grad.sum((0, 2, 3)))


# Both gradients are linear in each of their inputs: their own gradients are the three ops again.
@_conv2d_grad_input.vjp("grad_out")
def _(
    grad: Tensor, weight: Tensor, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Tensor:
    return _conv2d(
        grad, weight, None, stride=stride, padding=padding, dilation=dilation, groups=groups
    )


@_conv2d_grad_input.vjp("weight")
def _(
    grad: Tensor,
    grad_out: Tensor,
    weight_shape: Shape,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Tensor:
    return _conv2d_grad_weight(
        grad_out,
        grad,
        weight_shape=weight_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


@_conv2d_grad_weight.vjp("grad_out")
def _(
    grad: Tensor, x: Tensor, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Tensor:
    return _conv2d(x, grad, None, stride=stride, padding=padding, dilation=dilation, groups=groups)


@_conv2d_grad_weight.vjp("x")
def _(
    grad: Tensor,
    grad_out: Tensor,
    x_shape: Shape,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Tensor:
    return _conv2d_grad_input(
        grad_out,
        grad,
        input_shape=x_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: int = 1,
) -> Tensor:
    """Return the cross-correlation of images with kernels, as deep learning defines convolution.

    ``out[n, o, y, z] = bias[o] + sum over c, i, j of
    x[n, c, y sh + i dh - top, z sw + j dw - left] weight[o, c, i, j]``

    Args:
        x: Images, ``(N, C, H, W)``.
        weight: Kernels, ``(O, C / groups, KH, KW)``.
        bias: ``(O,)``, or None.
        stride: Steps between windows: a number, or a pair (rows, columns).
        padding: Zeros around the images: a number, a pair (rows, columns),
            ``((top, bottom), (left, right))``, ``"valid"`` for none, or ``"same"`` for as many as
            leave the size as it is, the odd one at the bottom and right; needs stride 1.
        dilation: Steps between a kernel's elements.
        groups: Channels are split into as many groups, each with its own kernels.

    Shape:
        ``(N, C, H, W)`` to ``(N, O, OH, OW)`` with
        ``OH = (H + top + bottom - dh (KH - 1) - 1) // sh + 1``.

    Raises:
        ShapeError: The shapes do not fit together, or a kernel is larger than the padded image.

    Reference:
        V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016.
    """
    _check("conv2d", x, weight, bias, groups)
    steps, spacing = as_pair("conv2d", "stride", stride), as_pair("conv2d", "dilation", dilation)
    kernel = weight.shape[2], weight.shape[3]
    widths = _as_padding(padding, kernel, steps, spacing)
    check_windows("conv2d", x.shape, kernel, steps, widths, spacing)
    dtype = result_dtype(x.dtype, weight.dtype)
    if not is_floating(dtype):
        raise DTypeError(f"conv2d is for floating dtypes, not {dtype}; cast with .float()")
    return _conv2d(
        x.astype(dtype),
        weight.astype(dtype),
        None if bias is None else bias.astype(dtype),
        stride=steps,
        padding=widths,
        dilation=spacing,
        groups=groups,
    )


def _check(name: str, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    if x.ndim != 4 or weight.ndim != 4:
        raise ShapeError(
            f"{name} expects x of shape (N, C, H, W) and weight (O, C / groups, KH, KW), but got "
            f"{x.shape} and {weight.shape}"
        )
    features, channels = weight.shape[:2]
    if groups < 1 or features % groups:
        raise ShapeError(
            f"{name} with groups={groups} needs that number to divide the {features} kernels of "
            f"weight {weight.shape}"
        )
    if x.shape[1] != channels * groups:
        raise ShapeError(
            f"{name} with weight {weight.shape} and groups={groups} expects {channels * groups} "
            f"channels, but x of shape {x.shape} has {x.shape[1]}"
        )
    if bias is not None and bias.shape != (features,):
        raise ShapeError(f"{name} expects a bias of shape {(features,)}, but got {bias.shape}")


def _as_padding(padding: PaddingLike, kernel: Pair, stride: Pair, dilation: Pair) -> Padding:
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        if stride != (1, 1):
            raise ShapeError(f"conv2d with padding='same' needs stride 1, got {stride}")
        reach = [dilation[a] * (kernel[a] - 1) for a in (0, 1)]
        top, left = (r // 2 for r in reach)
        return (top, reach[0] - top), (left, reach[1] - left)
    if isinstance(padding, str):
        raise ShapeError(
            f"conv2d's padding is a number, a pair, two pairs, 'same' or 'valid', not {padding!r}"
        )
    return as_padding("conv2d", padding)
