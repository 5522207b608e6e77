"""The ops as methods of a tensor, with PyTorch's spellings ``dim`` and ``keepdim`` beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurenix.ops import activation, indexing, joining, movement, reduce
from neurenix.ops import elementwise as ew
from neurenix.ops.matmul import matmul
from neurenix.ops.scalars import TensorLike
from neurenix.ops.shapes import AxisLike
from neurenix.ops.softmax import log_softmax, softmax
from neurenix.ops.sort import argsort, sort, topk

if TYPE_CHECKING:
    from neurenix.tensor import Tensor

# `self` is a Tensor throughout: the class that has these methods stands above this module.


def _sizes(sizes: tuple[Any, ...]) -> Any:
    """Accept both ``f(2, 3)`` and ``f((2, 3))``."""
    return sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes


class Methods:
    """Methods that hand over to the functions of `neurenix.ops`, which document them."""

    __slots__ = ()

    # Reductions ---------------------------------------------------------------------------------

    def sum(
        self: Any,
        axis: AxisLike = None,
        keepdims: bool = False,
        *,
        dim: AxisLike = None,
        keepdim: bool = False,
    ) -> Tensor:
        """Return the sum over axes."""
        return reduce.sum(self, axis if dim is None else dim, keepdims or keepdim)

    def mean(
        self: Any,
        axis: AxisLike = None,
        keepdims: bool = False,
        *,
        dim: AxisLike = None,
        keepdim: bool = False,
    ) -> Tensor:
        """Return the mean over axes."""
        return reduce.mean(self, axis if dim is None else dim, keepdims or keepdim)

    def prod(
        self: Any,
        axis: AxisLike = None,
        keepdims: bool = False,
        *,
        dim: AxisLike = None,
        keepdim: bool = False,
    ) -> Tensor:
        """Return the product over axes."""
        return reduce.prod(self, axis if dim is None else dim, keepdims or keepdim)

    def max(
        self: Any,
        axis: AxisLike = None,
        keepdims: bool = False,
        *,
        dim: AxisLike = None,
        keepdim: bool = False,
    ) -> Tensor:
        """Return the maximum over axes: values alone."""
        return reduce.max(self, axis if dim is None else dim, keepdims or keepdim)

    def min(
        self: Any,
        axis: AxisLike = None,
        keepdims: bool = False,
        *,
        dim: AxisLike = None,
        keepdim: bool = False,
    ) -> Tensor:
        """Return the minimum over axes: values alone."""
        return reduce.min(self, axis if dim is None else dim, keepdims or keepdim)

    def argmax(
        self: Any,
        axis: int | None = None,
        keepdims: bool = False,
        *,
        dim: int | None = None,
        keepdim: bool = False,
    ) -> Tensor:
        """Return the index of the first maximum."""
        return reduce.argmax(self, axis if dim is None else dim, keepdims or keepdim)

    def argmin(
        self: Any,
        axis: int | None = None,
        keepdims: bool = False,
        *,
        dim: int | None = None,
        keepdim: bool = False,
    ) -> Tensor:
        """Return the index of the first minimum."""
        return reduce.argmin(self, axis if dim is None else dim, keepdims or keepdim)

    def var(
        self: Any,
        axis: AxisLike = None,
        correction: float = 0.0,
        keepdims: bool = False,
        *,
        dim: AxisLike = None,
        keepdim: bool = False,
    ) -> Tensor:
        """Return the variance over axes."""
        return reduce.var(self, axis if dim is None else dim, correction, keepdims or keepdim)

    def std(
        self: Any,
        axis: AxisLike = None,
        correction: float = 0.0,
        keepdims: bool = False,
        *,
        dim: AxisLike = None,
        keepdim: bool = False,
    ) -> Tensor:
        """Return the standard deviation over axes."""
        return reduce.std(self, axis if dim is None else dim, correction, keepdims or keepdim)

    def any(
        self: Any,
        axis: AxisLike = None,
        keepdims: bool = False,
        *,
        dim: AxisLike = None,
        keepdim: bool = False,
    ) -> Tensor:
        """Return where an element is not zero."""
        return reduce.any(self, axis if dim is None else dim, keepdims or keepdim)

    def all(
        self: Any,
        axis: AxisLike = None,
        keepdims: bool = False,
        *,
        dim: AxisLike = None,
        keepdim: bool = False,
    ) -> Tensor:
        """Return where no element is zero."""
        return reduce.all(self, axis if dim is None else dim, keepdims or keepdim)

    # Shape --------------------------------------------------------------------------------------

    def reshape(self: Any, *shape: Any) -> Tensor:
        """Return the elements in another shape; one size may be -1."""
        return movement.reshape(self, _sizes(shape))

    view = reshape

    def permute(self: Any, *axes: Any) -> Tensor:
        """Return a view with the axes in another order."""
        return movement.permute(self, _sizes(axes))

    def transpose(self: Any, axis0: int = -2, axis1: int = -1) -> Tensor:
        """Return a view with two axes exchanged."""
        return movement.transpose(self, axis0, axis1)

    def expand(self: Any, *shape: Any) -> Tensor:
        """Return a view broadcast to a shape."""
        return movement.expand(self, _sizes(shape))

    def squeeze(self: Any, axis: AxisLike = None, *, dim: AxisLike = None) -> Tensor:
        """Return a view without axes of size 1."""
        return movement.squeeze(self, axis if dim is None else dim)

    def unsqueeze(self: Any, axis: int | None = None, *, dim: int | None = None) -> Tensor:
        """Return a view with a new axis of size 1."""
        at = axis if dim is None else dim
        if at is None:
            raise TypeError("unsqueeze needs the place of the new axis")
        return movement.unsqueeze(self, at)

    def flatten(self: Any, start_axis: int = 0, end_axis: int = -1) -> Tensor:
        """Return the tensor with a range of axes made one."""
        return movement.flatten(self, start_axis, end_axis)

    def flip(self: Any, axis: int | tuple[int, ...]) -> Tensor:
        """Return a copy with the order along axes reversed."""
        return indexing.flip(self, axis)

    def split(self: Any, sizes: int | Sequence[int], axis: int = 0) -> list[Tensor]:
        """Return views of pieces along an axis."""
        return joining.split(self, sizes, axis)

    def chunk(self: Any, chunks: int, axis: int = 0) -> list[Tensor]:
        """Return views of about equal pieces along an axis."""
        return joining.chunk(self, chunks, axis)

    def contiguous(self: Any) -> Tensor:
        """Return the tensor if it is dense, else a dense copy."""
        return movement.contiguous(self)

    def clone(self: Any) -> Tensor:
        """Return a dense copy, which autograd follows back to this tensor."""
        return movement.copy(self)

    # Elementwise --------------------------------------------------------------------------------

    def exp(self: Any) -> Tensor:
        """Return e to the power of the elements."""
        return ew.exp(self)

    def log(self: Any) -> Tensor:
        """Return the natural logarithms."""
        return ew.log(self)

    def sqrt(self: Any) -> Tensor:
        """Return the square roots."""
        return ew.sqrt(self)

    def sin(self: Any) -> Tensor:
        """Return the sines."""
        return ew.sin(self)

    def cos(self: Any) -> Tensor:
        """Return the cosines."""
        return ew.cos(self)

    def tanh(self: Any) -> Tensor:
        """Return the hyperbolic tangents."""
        return ew.tanh(self)

    def erf(self: Any) -> Tensor:
        """Return the error function."""
        return ew.erf(self)

    def abs(self: Any) -> Tensor:
        """Return the absolute values."""
        return ew.abs(self)

    def sign(self: Any) -> Tensor:
        """Return the signs."""
        return ew.sign(self)

    def floor(self: Any) -> Tensor:
        """Return the largest integers not above."""
        return ew.floor(self)

    def round(self: Any) -> Tensor:
        """Return the nearest integers, halves to even."""
        return ew.round(self)

    def clip(self: Any, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
        """Return the elements limited to a range."""
        return ew.clip(self, min, max)

    clamp = clip

    def maximum(self: Any, other: TensorLike) -> Tensor:
        """Return the larger of both."""
        return ew.maximum(self, other)

    def minimum(self: Any, other: TensorLike) -> Tensor:
        """Return the smaller of both."""
        return ew.minimum(self, other)

    def isnan(self: Any) -> Tensor:
        """Return where elements are NaN."""
        return ew.isnan(self)

    def isfinite(self: Any) -> Tensor:
        """Return where elements are neither NaN nor infinite."""
        return ew.isfinite(self)

    def relu(self: Any) -> Tensor:
        """Return max(x, 0)."""
        return activation.relu(self)

    def sigmoid(self: Any) -> Tensor:
        """Return 1 / (1 + exp(-x))."""
        return activation.sigmoid(self)

    def softmax(self: Any, axis: int = -1, *, dim: int | None = None) -> Tensor:
        """Return the elements' exponentials as shares of their sum along an axis."""
        return softmax(self, axis if dim is None else dim)

    def log_softmax(self: Any, axis: int = -1, *, dim: int | None = None) -> Tensor:
        """Return the logarithm of `softmax`."""
        return log_softmax(self, axis if dim is None else dim)

    # Products and indexing ----------------------------------------------------------------------

    def matmul(self: Any, other: Tensor) -> Tensor:
        """Return the matrix product."""
        return matmul(self, other)

    def gather(self: Any, index: Tensor, axis: int) -> Tensor:
        """Return the elements that indices along an axis name."""
        return indexing.gather(self, index, axis)

    def take(self: Any, index: Tensor, axis: int = 0) -> Tensor:
        """Return the slices along an axis that indices name."""
        return indexing.take(self, index, axis)

    def topk(
        self: Any, k: int, axis: int = -1, largest: bool = True, *, dim: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the k largest elements along an axis, and their indices."""
        return topk(self, k, axis if dim is None else dim, largest)

    def sort(
        self: Any, axis: int = -1, descending: bool = False, *, dim: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the elements in order along an axis, and their indices."""
        return sort(self, axis if dim is None else dim, descending)

    def argsort(
        self: Any, axis: int = -1, descending: bool = False, *, dim: int | None = None
    ) -> Tensor:
        """Return the indices that put the elements in order."""
        return argsort(self, axis if dim is None else dim, descending)

    def nonzero(self: Any) -> tuple[Tensor, ...]:
        """Return the indices of the elements that are not zero."""
        return indexing.nonzero(self)
