"""Pooling over windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.dtypes import DType, float_dtype, int32, int64
from neurenix.errors import ShapeError
from neurenix.ops import dispatch
from neurenix.ops import elementwise as ew
from neurenix.ops.conv import PaddingLike
from neurenix.ops.creation import arange, fill
from neurenix.ops.indexing import gather, scatter_add
from neurenix.ops.movement import (
    dilate,
    pad,
    reshape,
    slice,
    unfold,
    unsqueeze,
)
from neurenix.ops.op import Shape, TensorMeta, composite
from neurenix.ops.reduce import argmax
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

# Maximum ----------------------------------------------------------------------------------------


def _max_meta(
    x: Any, *, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> tuple[TensorMeta, TensorMeta]:
    size = (
        window_count(x.shape[2 + a], kernel_size[a], stride[a], padding[a], dilation[a])
        for a in (0, 1)
    )
    shape = (*x.shape[:2], *size)
    return TensorMeta(shape, x.dtype), TensorMeta(shape, int64)


def _max_backward_meta(grad_out: Any, indices: Any, *, input_shape: Shape) -> TensorMeta:
    return TensorMeta(input_shape, grad_out.dtype)


_max_pool2d = composite("max_pool2d", meta=_max_meta, outputs=("values", "indices"))
_max_pool2d_backward = composite("max_pool2d_backward", meta=_max_backward_meta)


def _lowest(dtype: DType) -> int | float:
    """Return the value that loses against every other."""
    if dtype.kind == "b":
        return 0
    if dtype.kind in "iu":
        return 0 if dtype.kind == "u" else -(2 ** (8 * dtype.itemsize - 1))
    return -float("inf")


def _place(code: Tensor, count: int, stride: int, before: int, dilation: int, at: Shape) -> Tensor:
    """Return where in the input an element of each window lies, along one axis.

    Where all elements tie, the first may lie in the padding: then the first inside counts.
    """
    corner = reshape(arange(count, dtype=int32, device=code.device) * stride - before, at)
    inside = ew.maximum(-(corner // dilation), 0)
    return corner + ew.maximum(code, inside) * dilation


@_max_pool2d.decompose
def _(
    x: Tensor, *, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> tuple[Tensor, Tensor]:
    padded = pad(x, ((0, 0), (0, 0), *padding), _lowest(x.dtype))
    rows = unfold(padded, 2, kernel_size[0], stride[0], dilation[0])
    windows = unfold(rows, 3, kernel_size[1], stride[1], dilation[1])
    out_h, out_w = windows.shape[2:4]
    flat = reshape(windows, (*windows.shape[:4], kernel_size[0] * kernel_size[1]))
    code = argmax(flat, -1).astype(int32)
    values = reshape(gather(flat, unsqueeze(code, -1), -1), code.shape)
    row = _place(code // kernel_size[1], out_h, stride[0], padding[0][0], dilation[0], (out_h, 1))
    column = _place(code % kernel_size[1], out_w, stride[1], padding[1][0], dilation[1], (1, out_w))
    return values, (row * x.shape[3] + column).astype(int64)


@_max_pool2d.vjp("x")
def _(grad: Tensor, indices: Tensor, x_shape: Shape) -> Tensor:
    return _max_pool2d_backward(grad, indices, input_shape=x_shape)


def _flat(x: Tensor) -> Tensor:
    """Flatten the height and width of images."""
    return reshape(x, (*x.shape[:2], x.shape[2] * x.shape[3]))


@_max_pool2d_backward.decompose
def _(grad_out: Tensor, indices: Tensor, *, input_shape: Shape) -> Tensor:
    shape = (*input_shape[:2], input_shape[2] * input_shape[3])
    zeros = dispatch.create(fill, grad_out.device, shape=shape, value=0, dtype=grad_out.dtype)
    return reshape(scatter_add(zeros, _flat(indices), _flat(grad_out), 2), input_shape)


@_max_pool2d_backward.vjp("grad_out")
def _(grad: Tensor, indices: Tensor) -> Tensor:
    return reshape(gather(_flat(grad), _flat(indices), 2), indices.shape)


def max_pool2d(
    x: Tensor,
    kernel_size: PairLike,
    stride: PairLike | None = None,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
) -> Tensor:
    """Return the largest value of each window; NaN where there is one.

    The gradient goes to the first of equal values.

    Args:
        x: Images, ``(N, C, H, W)``.
        kernel_size: The window: a number or a pair (rows, columns).
        stride: Steps between windows; by default the window's size.
        padding: A border that never wins, at most half of the window.
        dilation: Steps between a window's elements.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, OH, OW)``; see `conv2d`.

    Raises:
        ShapeError: No window fits, or one could lie in the padding alone.
    """
    kernel, steps, widths = _windows("max_pool2d", x, kernel_size, stride, padding)
    spacing = as_pair("max_pool2d", "dilation", dilation)
    check_windows("max_pool2d", x.shape, kernel, steps, widths, spacing)
    return _max_pool2d(x, kernel_size=kernel, stride=steps, padding=widths, dilation=spacing)


def _windows(
    name: str,
    x: Tensor,
    kernel_size: PairLike,
    stride: PairLike | None,
    padding: PaddingLike,
) -> tuple[Pair, Pair, Padding]:
    if x.ndim != 4:
        raise ShapeError(f"{name} expects x of shape (N, C, H, W), but got {x.shape}")
    kernel = as_pair(name, "kernel_size", kernel_size)
    steps = kernel if stride is None else as_pair(name, "stride", stride)
    if isinstance(padding, str):
        raise ShapeError(f"{name}'s padding is a number, a pair or two pairs, not {padding!r}")
    widths = as_padding(name, padding)
    if any(2 * p > k for k, pair in zip(kernel, widths, strict=True) for p in pair):
        raise ShapeError(
            f"{name} takes padding of at most half of the window, else a window could hold no "
            f"pixel; the window is {kernel}, the padding {widths}"
        )
    return kernel, steps, widths


# Mean -------------------------------------------------------------------------------------------


def _avg_meta(
    x: Any, *, kernel_size: Pair, stride: Pair, padding: Padding, count_include_pad: bool
) -> TensorMeta:
    size = (window_count(x.shape[2 + a], kernel_size[a], stride[a], padding[a], 1) for a in (0, 1))
    return TensorMeta((*x.shape[:2], *size), x.dtype)


def _avg_backward_meta(
    grad_out: Any,
    *,
    input_shape: Shape,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    count_include_pad: bool,
) -> TensorMeta:
    return TensorMeta(input_shape, grad_out.dtype)


_avg_pool2d = composite("avg_pool2d", meta=_avg_meta)
_avg_pool2d_backward = composite("avg_pool2d_backward", meta=_avg_backward_meta)


def _share(
    x: Tensor, size: Shape, kernel_size: Pair, stride: Pair, padding: Padding, include: bool
) -> Tensor:
    """Divide ``x`` (N, C, OH, OW) by the number of elements that count in each window."""
    if include:
        return x / float(kernel_size[0] * kernel_size[1])
    counts = []
    for a in (0, 1):
        places = arange(x.shape[2 + a], dtype=int32, device=x.device)
        start = places * stride[a] - padding[a][0]
        stop = ew.minimum(start + kernel_size[a], size[a])
        counts.append((stop - ew.maximum(start, 0)).astype(x.dtype))
    return x / (unsqueeze(counts[0], 1) * counts[1])


@_avg_pool2d.decompose
def _(
    x: Tensor, *, kernel_size: Pair, stride: Pair, padding: Padding, count_include_pad: bool
) -> Tensor:
    padded = pad(x, ((0, 0), (0, 0), *padding))
    rows = unfold(padded, 2, kernel_size[0], stride[0]).sum(-1)
    total = unfold(rows, 3, kernel_size[1], stride[1]).sum(-1)
    return _share(total, x.shape[2:], kernel_size, stride, padding, count_include_pad)


@_avg_pool2d_backward.decompose
def _(
    grad_out: Tensor,
    *,
    input_shape: Shape,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    count_include_pad: bool,
) -> Tensor:
    grad = _share(grad_out, input_shape[2:], kernel_size, stride, padding, count_include_pad)
    for a in (0, 1):
        # Each element of the window adds the gradient, spread out by the stride, at its place.
        steps = [1, 1, 1, 1]
        steps[2 + a] = stride[a]
        spread = dilate(grad, steps)
        total = input_shape[2 + a] + padding[a][0] + padding[a][1]
        grad = sum_all(
            [
                pad(spread, one_axis(2 + a, (k, total - k - spread.shape[2 + a])))
                for k in range(kernel_size[a])
            ]
        )
    starts = (0, 0, padding[0][0], padding[1][0])
    return slice(grad, starts, input_shape, (1, 1, 1, 1))


def one_axis(axis: int, widths: Pair) -> tuple[Pair, ...]:
    """Return widths of padding for one axis of images."""
    return tuple(widths if a == axis else (0, 0) for a in range(4))


def sum_all(terms: list[Tensor]) -> Tensor:
    """Return the sum of tensors of one shape."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


@_avg_pool2d.vjp("x")
def _(
    grad: Tensor,
    x_shape: Shape,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    count_include_pad: bool,
) -> Tensor:
    return _avg_pool2d_backward(
        grad,
        input_shape=x_shape,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        count_include_pad=count_include_pad,
    )


@_avg_pool2d_backward.vjp("grad_out")
def _(
    grad: Tensor, kernel_size: Pair, stride: Pair, padding: Padding, count_include_pad: bool
) -> Tensor:
    return _avg_pool2d(
        grad,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        count_include_pad=count_include_pad,
    )


def avg_pool2d(
    x: Tensor,
    kernel_size: PairLike,
    stride: PairLike | None = None,
    padding: PaddingLike = 0,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window.

    Args:
        x: Images, ``(N, C, H, W)``.
        kernel_size: The window: a number or a pair (rows, columns).
        stride: Steps between windows; by default the window's size.
        padding: A border of zeros, at most half of the window.
        count_include_pad: Whether the border's zeros count in the mean.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, OH, OW)``; see `conv2d`.

    Raises:
        ShapeError: No window fits, or one could lie in the padding alone.
    """
    kernel, steps, widths = _windows("avg_pool2d", x, kernel_size, stride, padding)
    check_windows("avg_pool2d", x.shape, kernel, steps, widths, (1, 1))
    return _avg_pool2d(
        x.astype(float_dtype(x.dtype)),
        kernel_size=kernel,
        stride=steps,
        padding=widths,
        count_include_pad=count_include_pad,
    )
