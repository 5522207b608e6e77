"""Mean pooling over a grid of regions, whatever the size of the images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.dtypes import float_dtype
from neurenix.errors import ShapeError
from neurenix.ops.joining import concat
from neurenix.ops.movement import expand, narrow, pad
from neurenix.ops.op import Shape, TensorMeta, composite
from neurenix.ops.pool import one_axis, sum_all
from neurenix.ops.windows import Pair, PairLike, as_pair

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


def _adaptive_meta(x: Any, *, output_size: Pair) -> TensorMeta:
    return TensorMeta((*x.shape[:2], *output_size), x.dtype)


def _adaptive_backward_meta(grad_out: Any, *, input_shape: Shape) -> TensorMeta:
    return TensorMeta(input_shape, grad_out.dtype)


_adaptive = composite("adaptive_avg_pool2d", meta=_adaptive_meta)
_adaptive_backward = composite("adaptive_avg_pool2d_backward", meta=_adaptive_backward_meta)


def _regions(size: int, count: int) -> list[Pair]:
    """Return (start, length) of each of ``count`` regions that cover an axis."""
    starts = [i * size // count for i in range(count)]
    return [(s, -(-(i + 1) * size // count) - s) for i, s in enumerate(starts)]


@_adaptive.decompose
def _(x: Tensor, *, output_size: Pair) -> Tensor:
    for axis, count in ((2, output_size[0]), (3, output_size[1])):
        parts = [
            narrow(x, axis, start, length).mean(axis, keepdims=True)
            for start, length in _regions(x.shape[axis], count)
        ]
        x = parts[0] if count == 1 else concat(parts, axis)
    return x


@_adaptive_backward.decompose
def _(grad_out: Tensor, *, input_shape: Shape) -> Tensor:
    grad = grad_out
    for axis in (2, 3):
        size = input_shape[axis]
        parts = []
        for i, (start, length) in enumerate(_regions(size, grad.shape[axis])):
            share = narrow(grad, axis, i, 1) / float(length)
            spread = expand(share, (*share.shape[:axis], length, *share.shape[axis + 1 :]))
            parts.append(pad(spread, one_axis(axis, (start, size - start - length))))
        grad = sum_all(parts)
    return grad


_adaptive.vjp("x")(lambda grad, x_shape: _adaptive_backward(grad, input_shape=x_shape))


@_adaptive_backward.vjp("grad_out")
def _(grad: Tensor, grad_out_shape: Shape) -> Tensor:
    return _adaptive(grad, output_size=(grad_out_shape[2], grad_out_shape[3]))


def adaptive_avg_pool2d(x: Tensor, output_size: PairLike) -> Tensor:
    """Return the means over a grid of regions that covers each image.

    Region i of an axis reaches from ``floor(i L / n)`` to ``ceil((i + 1) L / n)``.

    Args:
        x: Images, ``(N, C, H, W)``.
        output_size: The size of the result: a number or a pair (rows, columns).

    Shape:
        ``(N, C, H, W)`` to ``(N, C, *output_size)``.

    Raises:
        ShapeError: The images are not of shape (N, C, H, W), or have no pixels.
    """
    if x.ndim != 4 or 0 in x.shape[2:]:
        raise ShapeError(
            f"adaptive_avg_pool2d expects x of shape (N, C, H, W) with pixels, but got {x.shape}"
        )
    size = as_pair("adaptive_avg_pool2d", "output_size", output_size)
    return _adaptive(x.astype(float_dtype(x.dtype)), output_size=size)
