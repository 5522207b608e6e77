"""Cutting tensors into pieces and joining them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurenix.dtypes import result_dtype
from neurenix.errors import ShapeError
from neurenix.ops import dispatch
from neurenix.ops.movement import narrow, unsqueeze
from neurenix.ops.op import Shape, TensorMeta, composite
from neurenix.ops.shapes import normalize_axis

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


def split(x: Tensor, sizes: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Return views of pieces along an axis: of one size (the last may be less), or of several.

    Raises:
        ShapeError: The sizes do not add up to the axis.
    """
    axis = normalize_axis(axis, x.ndim)
    total = x.shape[axis]
    if isinstance(sizes, int):
        if sizes < 1:
            raise ShapeError(f"split needs pieces of at least 1, got {sizes}")
        sizes = [min(sizes, total - start) for start in range(0, total, sizes)] or [0]
    if sum(sizes) != total:
        raise ShapeError(f"pieces of {list(sizes)} do not add up to axis {axis} of {x.shape}")
    pieces, start = [], 0
    for size in sizes:
        pieces.append(narrow(x, axis, start, size))
        start += size
    return pieces


def chunk(x: Tensor, chunks: int, axis: int = 0) -> list[Tensor]:
    """Return at most ``chunks`` views of about equal size along an axis."""
    if chunks < 1:
        raise ShapeError(f"chunk needs at least 1 piece, got {chunks}")
    return split(x, max(1, -(-x.shape[normalize_axis(axis, x.ndim)] // chunks)), axis)


def _concat_meta(*xs: Any, axis: int, sizes: Shape) -> TensorMeta:
    shape = list(xs[0].shape)
    shape[axis] = sum(sizes)
    return TensorMeta(tuple(shape), xs[0].dtype)


_concat = composite("concat", meta=_concat_meta)


@_concat.decompose
def _(*xs: Tensor, axis: int, sizes: Shape) -> Tensor:
    shape, dtype = _concat_meta(*xs, axis=axis, sizes=sizes)
    out = dispatch.allocate(shape, dtype, xs[0].device)
    for x, piece in zip(xs, split(out, sizes, axis), strict=True):
        dispatch.copy_into(piece, x)
    return out


@_concat.vjp("xs")
def _(grad: Tensor, axis: int, sizes: Shape) -> list[Tensor]:
    return split(grad, sizes, axis)


def concat(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Return tensors joined along an axis, in their common dtype.

    Raises:
        ShapeError: There is none, or they differ in another axis.
    """
    if not tensors:
        raise ShapeError("concat needs at least one tensor")
    first = tensors[0].shape
    axis = normalize_axis(axis, len(first))
    for i, x in enumerate(tensors):
        if len(x.shape) != len(first) or any(
            a != b for k, (a, b) in enumerate(zip(x.shape, first, strict=True)) if k != axis
        ):
            raise ShapeError(
                f"concat along axis {axis}: tensor {i} has shape {x.shape}, which differs from "
                f"the first's, {first}, in another axis"
            )
    dtype = result_dtype(*(x.dtype for x in tensors))
    parts = [x.astype(dtype) for x in tensors]
    return _concat(*parts, axis=axis, sizes=tuple(x.shape[axis] for x in parts))


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Return tensors of one shape joined along a new axis.

    Raises:
        ShapeError: There is none, or their shapes differ.
    """
    if not tensors:
        raise ShapeError("stack needs at least one tensor")
    for i, x in enumerate(tensors):
        if x.shape != tensors[0].shape:
            raise ShapeError(
                f"stack: tensor {i} has shape {x.shape}, but the first has {tensors[0].shape}"
            )
    at = normalize_axis(axis, tensors[0].ndim + 1)
    return concat([unsqueeze(x, at) for x in tensors], at)
