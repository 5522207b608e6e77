"""Views, which only describe a buffer anew, and ops that move elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neurenix.dtypes import Scalar
from neurenix.errors import ShapeError
from neurenix.ops import dispatch
from neurenix.ops.creation import ShapeLike, as_shape, fill
from neurenix.ops.op import Shape, TensorMeta, ViewMeta, composite, primitive
from neurenix.ops.shapes import (
    AxisLike,
    dense_strides,
    element_count,
    normalize_axes,
    normalize_axis,
    same,
    sum_to,
)

if TYPE_CHECKING:
    from neurenix.tensor import Tensor

Widths = tuple[tuple[int, int], ...]

# Views ------------------------------------------------------------------------------------------


def _reshaped_strides(shape: Shape, strides: Shape, new: Shape) -> Shape | None:
    """Return the strides of a reshaped view, or None where the elements must be moved."""
    if 0 in shape:
        return dense_strides(new)
    # Merge the old axes into runs that are dense within themselves ...
    runs: list[list[int]] = []  # (size, stride of the innermost axis)
    for size, stride in zip(shape, strides, strict=True):
        if size == 1:
            continue
        if runs and runs[-1][1] == size * stride:
            runs[-1] = [runs[-1][0] * size, stride]
        else:
            runs.append([size, stride])
    # ... and cut each run into new axes, from the innermost outwards.
    result: list[int] = []
    left, step = runs.pop() if runs else (1, 1)
    for size in reversed(new):
        if size == 1:
            result.append(step)
            continue
        if left == 1 and runs:
            left, step = runs.pop()
        if left % size:
            return None
        result.append(step)
        left, step = left // size, step * size
    return tuple(reversed(result))


def _reshape_meta(x: Tensor, *, shape: Shape) -> ViewMeta:
    strides = _reshaped_strides(x.shape, x.strides, shape)
    assert strides is not None
    return ViewMeta(shape, strides, x.offset)


def _permute_meta(x: Tensor, *, axes: Shape) -> ViewMeta:
    strides = x.strides
    return ViewMeta(tuple(x.shape[a] for a in axes), tuple(strides[a] for a in axes), x.offset)


def _expand_meta(x: Tensor, *, shape: Shape) -> ViewMeta:
    lead = len(shape) - x.ndim
    strides = tuple(
        0 if old == 1 and new != 1 else stride
        for old, new, stride in zip(x.shape, shape[lead:], x.strides, strict=True)
    )
    return ViewMeta(shape, (0,) * lead + strides, x.offset)


def _slice_meta(x: Tensor, *, starts: Shape, sizes: Shape, steps: Shape) -> ViewMeta:
    strides = x.strides
    offset = x.offset
    if 0 not in sizes:
        offset += sum(start * stride for start, stride in zip(starts, strides, strict=True))
    return ViewMeta(sizes, tuple(a * b for a, b in zip(strides, steps, strict=True)), offset)


def _unfold_meta(x: Tensor, *, axis: int, size: int, step: int, dilation: int) -> ViewMeta:
    count = (x.shape[axis] - dilation * (size - 1) - 1) // step + 1
    stride = x.strides[axis]
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :], size)
    strides = list(x.strides)
    strides[axis] = stride * step
    return ViewMeta(shape, (*strides, stride * dilation), x.offset)


_reshape = primitive("reshape", meta=_reshape_meta, view=True)
_permute = primitive("permute", meta=_permute_meta, view=True)
_expand = primitive("expand", meta=_expand_meta, view=True)
_slice = primitive("slice", meta=_slice_meta, view=True)
_unfold = primitive("unfold", meta=_unfold_meta, view=True)

_reshape.vjp("x")(lambda grad, x_shape: reshape(grad, x_shape))


def reshape(x: Tensor, shape: ShapeLike) -> Tensor:
    """Return the elements in another shape; one size may be -1, which is then worked out.

    A view where the strides allow it, else a copy.

    Raises:
        ShapeError: The number of elements differs.
    """
    sizes = (shape,) if isinstance(shape, int) else tuple(s.__index__() for s in shape)
    new = _infer(x.shape, sizes)
    if new == x.shape:
        return x
    if _reshaped_strides(x.shape, x.strides, new) is None:
        x = copy(x)
    return _reshape(x, shape=new)


def _infer(old: Shape, new: Shape) -> Shape:
    count = element_count(old)
    if new.count(-1) == 1:
        known = -element_count(new)
        if known > 0 and count % known == 0:
            return tuple(count // known if size == -1 else size for size in new)
    elif -1 not in new and element_count(new) == count and min(new, default=0) >= 0:
        return new
    raise ShapeError(f"a tensor of shape {old}, {count} elements, cannot take the shape {new}")


def permute(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return a view with the axes in another order.

    Raises:
        ShapeError: ``axes`` is no permutation of the tensor's axes.
    """
    order = tuple(normalize_axis(a, x.ndim) for a in axes)
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"{tuple(axes)} is no permutation of the {x.ndim} axes of {x.shape}")
    return _permute(x, axes=order)


def transpose(x: Tensor, axis0: int = -2, axis1: int = -1) -> Tensor:
    """Return a view with two axes exchanged."""
    order = list(range(x.ndim))
    a, b = normalize_axis(axis0, x.ndim), normalize_axis(axis1, x.ndim)
    order[a], order[b] = order[b], order[a]
    return _permute(x, axes=tuple(order))


def expand(x: Tensor, shape: ShapeLike) -> Tensor:
    """Return a view broadcast to a shape; -1 keeps an axis as it is.

    Raises:
        ShapeError: An axis is neither 1 nor the size asked for.
    """
    sizes = (shape,) if isinstance(shape, int) else tuple(s.__index__() for s in shape)
    lead = len(sizes) - x.ndim
    old = (1,) * max(lead, 0) + x.shape
    new = tuple(o if n == -1 else n for o, n in zip(old, sizes, strict=False))
    if lead < 0 or any(o not in (1, n) for o, n in zip(old, new, strict=True)):
        raise ShapeError(f"a tensor of shape {x.shape} cannot be expanded to {sizes}")
    return x if new == x.shape else _expand(x, shape=new)


def slice(x: Tensor, starts: Shape, sizes: Shape, steps: Shape) -> Tensor:
    """Return a view of a box: an axis a start, a size and a positive step, all within bounds."""
    if sizes == x.shape:
        return x
    return _slice(x, starts=starts, sizes=sizes, steps=steps)


def unfold(x: Tensor, axis: int, size: int, step: int = 1, dilation: int = 1) -> Tensor:
    """Return a view of the windows along an axis; a window is a new last axis.

    Shape:
        ``(..., L, ...)`` to ``(..., (L - dilation * (size - 1) - 1) // step + 1, ..., size)``.
    """
    axis = normalize_axis(axis, x.ndim)
    reach = dilation * (size - 1) + 1
    if size < 1 or step < 1 or dilation < 1 or reach > x.shape[axis]:
        raise ShapeError(
            f"windows of size {size}, step {step}, dilation {dilation} do not fit axis {axis} "
            f"of size {x.shape[axis]}"
        )
    return _unfold(x, axis=axis, size=size, step=step, dilation=dilation)


def squeeze(x: Tensor, axis: AxisLike = None) -> Tensor:
    """Return a view without axes of size 1: all of them, or those named.

    Raises:
        ShapeError: A named axis has another size.
    """
    if axis is None:
        return reshape(x, tuple(size for size in x.shape if size != 1))
    axes = normalize_axes(axis, x.ndim)
    if any(x.shape[a] != 1 for a in axes):
        raise ShapeError(f"squeeze needs axes of size 1, but axes {axes} of {x.shape} are not")
    return reshape(x, tuple(size for a, size in enumerate(x.shape) if a not in axes))


def unsqueeze(x: Tensor, axis: int) -> Tensor:
    """Return a view with a new axis of size 1."""
    at = normalize_axis(axis, x.ndim + 1)
    return reshape(x, (*x.shape[:at], 1, *x.shape[at:]))


def flatten(x: Tensor, start_axis: int = 0, end_axis: int = -1) -> Tensor:
    """Return the tensor with the axes from ``start_axis`` to ``end_axis`` made one."""
    if x.ndim == 0:
        return reshape(x, (1,))
    a, b = normalize_axis(start_axis, x.ndim), normalize_axis(end_axis, x.ndim)
    if a > b:
        raise ShapeError(f"flatten needs start_axis <= end_axis, got {start_axis} and {end_axis}")
    middle = element_count(x.shape[a : b + 1])
    return reshape(x, (*x.shape[:a], middle, *x.shape[b + 1 :]))


def narrow(x: Tensor, axis: int, start: int, size: int) -> Tensor:
    """Return a view of a range of one axis."""
    starts, sizes = [0] * x.ndim, list(x.shape)
    starts[axis], sizes[axis] = start, size
    return slice(x, tuple(starts), tuple(sizes), (1,) * x.ndim)


# Moving elements --------------------------------------------------------------------------------

copy = primitive("copy", meta=same, doc="Return a dense copy.")
copy.vjp("x")(lambda grad: grad)


def contiguous(x: Tensor) -> Tensor:
    """Return the tensor if it is dense, else a dense copy."""
    return x if x.is_contiguous() else copy(x)


def _pad_meta(x: Any, *, widths: Widths, interior: Shape, value: Scalar) -> TensorMeta:
    shape = tuple(
        before + size + max(size - 1, 0) * between + after
        for size, (before, after), between in zip(x.shape, widths, interior, strict=True)
    )
    return TensorMeta(shape, x.dtype)


_pad = composite("pad", meta=_pad_meta)


@_pad.decompose
def _(x: Tensor, *, widths: Widths, interior: Shape, value: Scalar) -> Tensor:
    shape, dtype = _pad_meta(x, widths=widths, interior=interior, value=value)
    out = dispatch.create(fill, x.device, shape=shape, value=value, dtype=dtype)
    return assign(out, x, starts=tuple(w[0] for w in widths), steps=tuple(i + 1 for i in interior))


@_pad.vjp("x")
def _(grad: Tensor, widths: Widths, interior: Shape, x_shape: Shape) -> Tensor:
    return slice(grad, tuple(w[0] for w in widths), x_shape, tuple(i + 1 for i in interior))


def pad(x: Tensor, widths: Sequence[tuple[int, int]], value: Scalar = 0.0) -> Tensor:
    """Return the tensor with a border of a value.

    Args:
        x: A tensor.
        widths: How much before and after, a pair an axis.
        value: The border's value.

    Raises:
        ShapeError: Not one pair an axis, or a negative width.
    """
    pairs = tuple((int(before), int(after)) for before, after in widths)
    if len(pairs) != x.ndim or any(min(pair) < 0 for pair in pairs):
        raise ShapeError(
            f"pad needs a pair of non-negative widths for each of {x.ndim} axes, got {pairs}"
        )
    if not any(map(any, pairs)):
        return x
    return _pad(x, widths=pairs, interior=(0,) * x.ndim, value=value)


def dilate(x: Tensor, steps: Sequence[int]) -> Tensor:
    """Return the elements ``steps`` apart along each axis, with zeros between them."""
    if all(step == 1 for step in steps):
        return x
    interior = tuple(step - 1 for step in steps)
    return _pad(x, widths=((0, 0),) * x.ndim, interior=interior, value=0)


@_slice.vjp("x")
def _(grad: Tensor, x_shape: Shape, starts: Shape, sizes: Shape, steps: Shape) -> Tensor:
    if 0 in sizes:
        return dispatch.create(fill, grad.device, shape=x_shape, value=0, dtype=grad.dtype)
    widths = tuple(
        (start, total - start - (size - 1) * step - 1)
        for total, start, size, step in zip(x_shape, starts, sizes, steps, strict=True)
    )
    return _pad(grad, widths=widths, interior=tuple(step - 1 for step in steps), value=0)


@_permute.vjp("x")
def _(grad: Tensor, axes: Shape) -> Tensor:
    return permute(grad, tuple(axes.index(a) for a in range(len(axes))))


@_expand.vjp("x")
def _(grad: Tensor, x_shape: Shape) -> Tensor:
    return sum_to(grad, x_shape)


@_unfold.vjp("x")
def _(grad: Tensor, x_shape: Shape, axis: int, size: int, step: int, dilation: int) -> Tensor:
    # Every place in the window adds a strided comb to the axis.
    out: Tensor | None = None
    count = grad.shape[axis]
    reach = (count - 1) * step + 1
    interior = tuple(step - 1 if a == axis else 0 for a in range(len(x_shape)))
    for place in range(size):
        start = place * dilation
        widths = tuple(
            (start, x_shape[axis] - start - reach) if a == axis else (0, 0)
            for a in range(len(x_shape))
        )
        piece = squeeze(narrow(grad, grad.ndim - 1, place, 1), -1)
        comb = _pad(piece, widths=widths, interior=interior, value=0)
        out = comb if out is None else out + comb
    assert out is not None
    return out


def _assign_meta(x: Any, value: Any, *, starts: Shape, steps: Shape) -> TensorMeta:
    return TensorMeta(x.shape, x.dtype)


assign = composite(
    "assign",
    meta=_assign_meta,
    donates={0: 0},
    differentiable=False,
    doc="Write a value into a box of x, in place.",
)


@assign.decompose
def _(x: Tensor, value: Tensor, *, starts: Shape, steps: Shape) -> Tensor:
    dispatch.copy_into(slice(x, starts, value.shape, steps), value)
    return x


def broadcast_to(x: Tensor, shape: ShapeLike) -> Tensor:
    """Return a view broadcast to a shape: `expand` by its standard name."""
    return expand(x, as_shape(shape))
