"""Reading and writing with ``[]``: integers, slices, None, Ellipsis, index tensors and masks.

Integers, slices and None give views; index tensors broadcast together, and their axes stand first
in the result unless they were neighbours. An integer takes its axis away before the index tensors
are looked at, as in PyTorch: ``x[0, :, [1, 2]]`` is ``x[0][:, [1, 2]]``, of which NumPy gives the
transpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neurenix.dtypes import bool_
from neurenix.errors import AutogradError, DTypeError, ShapeError
from neurenix.ops import dispatch, movement
from neurenix.ops import indexing as ops
from neurenix.ops.mode import mode
from neurenix.ops.scalars import TensorLike, constant
from neurenix.ops.shapes import broadcast_all, element_count

if TYPE_CHECKING:
    from neurenix.ops.op import Shape
    from neurenix.tensor import Tensor


class _Plan(NamedTuple):
    """A parsed key: a box, the axes that stay (or come), and the index tensors among them."""

    starts: Shape
    sizes: Shape
    steps: Shape
    flips: tuple[int, ...]
    shape: Shape
    indices: dict[int, Tensor]


def read(x: Tensor, key: Any) -> Tensor:
    """Return ``x[key]``.

    Raises:
        IndexError: An index is out of range, or there are too many.
    """
    plan = _parse(x, key)
    out = _view(x, plan)
    if plan.flips:
        out = ops.flip(out, plan.flips)
    return _gather(out, plan.indices) if plan.indices else out


def write(x: Tensor, key: Any, value: TensorLike) -> None:
    """Carry out ``x[key] = value``.

    Raises:
        AutogradError: The tensor or the value is followed by autograd.
        ShapeError: The value does not broadcast to the place.
    """
    if isinstance(value, dispatch.tensor_class()):
        source = value.astype(x.dtype)
    elif isinstance(value, (bool, int, float)):
        source = constant(value, x.dtype, x.device)
    else:
        source = dispatch.tensor_class()(value, dtype=x.dtype, device=x.device)
    if mode.grad and (x._requires_grad or source._requires_grad):
        raise AutogradError(
            "index assignment to, or of, a tensor that requires a gradient would lose it: use "
            "where(), concat() or scatter(), or write under no_grad()"
        )
    if source.buffer is x.buffer:  # the write could overtake the reading
        source = source.clone()
    plan = _parse(x, key)
    if plan.flips:
        raise ShapeError("assignment with a negative step is not supported; flip the value")
    place = _view(x, plan)
    dispatch.written(x)
    if plan.indices:
        lead, tail, place = _advanced_first(place, plan.indices)
        count = len(lead)
        lead_shape = lead[0].shape
        source = movement.expand(source, _advanced_shape(place, plan.indices, lead_shape, tail))
        source = _value_first(source, plan.indices, len(lead_shape), place.ndim - count)
        ops.put(place, movement.contiguous(source), *lead)
        return
    if not _fits(source.shape, place.shape):
        raise ShapeError(f"a value of shape {source.shape} cannot be written to {place.shape}")
    while source.ndim > place.ndim:
        source = movement.squeeze(source, 0)
    if 0 not in place.shape:
        ops_assign(place, movement.expand(source, place.shape))


def ops_assign(place: Tensor, source: Tensor) -> None:
    """Write a whole view."""
    movement.assign(place, source, starts=(0,) * place.ndim, steps=(1,) * place.ndim)


def _fits(source: Shape, place: Shape) -> bool:
    extra = len(source) - len(place)
    if extra > 0 and any(size != 1 for size in source[:extra]):
        return False
    tail = source[max(extra, 0) :]
    lead = len(place) - len(tail)
    return all(a in (1, b) for a, b in zip(tail, place[lead:], strict=True))


def _parse(x: Tensor, key: Any) -> _Plan:
    items = [_canonical(x, item) for item in (key if isinstance(key, tuple) else (key,))]
    items = _expand_ellipsis(x, items)
    starts, sizes, steps = [0] * x.ndim, list(x.shape), [1] * x.ndim
    shape: list[int] = []
    flips: list[int] = []
    indices: dict[int, Tensor] = {}
    axis = 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        total = x.shape[axis]
        if isinstance(item, int):
            if not -total <= item < total:
                raise IndexError(f"index {item} is out of range for axis {axis} of {x.shape}")
            starts[axis], sizes[axis] = item % total, 1
            axis += 1
        elif isinstance(item, slice):
            start, size, step, backwards = _box(item, total)
            starts[axis], sizes[axis], steps[axis] = start, size, step
            if backwards:
                flips.append(len(shape))
            shape.append(size)
            axis += 1
        elif item.dtype == bool_:
            for column, size in zip(_mask(x, item, axis), item.shape, strict=True):
                indices[len(shape)] = column
                shape.append(size)
                axis += 1
        else:
            indices[len(shape)] = ops.positive(item, total)
            shape.append(total)
            axis += 1
    return _Plan(tuple(starts), tuple(sizes), tuple(steps), tuple(flips), tuple(shape), indices)


def _canonical(x: Tensor, item: Any) -> Any:
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if isinstance(item, (bool, np.bool_)):
        return dispatch.tensor_class()(bool(item), device=x.device)
    if isinstance(item, dispatch.tensor_class()):
        ops.as_index_dtype(item)
        return int(item) if item.ndim == 0 and item.dtype != bool_ else item
    if hasattr(item, "__index__") and not isinstance(item, np.ndarray):
        return int(item.__index__())
    if isinstance(item, (list, tuple, np.ndarray)):
        data = np.asarray(item)
        index = dispatch.tensor_class()(
            data.astype(np.int64) if data.size == 0 else data, device=x.device
        )
        ops.as_index_dtype(index)
        return index
    raise DTypeError(
        "an index is an integer, a slice, None, an Ellipsis, or a tensor of integers or bools, "
        f"not {type(item).__name__}"
    )


def _expand_ellipsis(x: Tensor, items: list[Any]) -> list[Any]:
    used = sum(0 if i is None or i is Ellipsis else i.ndim if _is_mask(i) else 1 for i in items)
    if used > x.ndim:
        raise IndexError(f"{used} indices are too many for a tensor of {x.ndim} axes")
    fill = [slice(None)] * (x.ndim - used)
    places = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(places) > 1:
        raise IndexError("an index has at most one Ellipsis")
    at = places[0] if places else len(items)
    return items[:at] + fill + items[at + len(places) :]


def _is_mask(item: Any) -> bool:
    return isinstance(item, dispatch.tensor_class()) and item.dtype == bool_


def _box(item: slice, total: int) -> tuple[int, int, int, bool]:
    start, stop, step = item.indices(total)
    size = len(range(start, stop, step))
    if step > 0:
        return (start if size else 0), size, step, False
    return (start + (size - 1) * step if size else 0), size, -step, True


def _mask(x: Tensor, mask: Tensor, axis: int) -> tuple[Tensor, ...]:
    covered = x.shape[axis : axis + mask.ndim]
    if mask.shape != covered:
        raise IndexError(f"a mask of shape {mask.shape} does not fit the axes it covers, {covered}")
    if mask.ndim == 0:
        raise IndexError("a single bool is no index; use where(), or [None]")
    return ops.nonzero(mask)


def _view(x: Tensor, plan: _Plan) -> Tensor:
    out = movement.slice(x, plan.starts, plan.sizes, plan.steps)
    return movement.reshape(out, plan.shape)


def _neighbours(axes: list[int]) -> bool:
    return axes == list(range(axes[0], axes[0] + len(axes)))


def _advanced_first(
    x: Tensor, indices: dict[int, Tensor]
) -> tuple[tuple[Tensor, ...], Shape, Tensor]:
    """Return the index tensors broadcast together, the other axes' sizes, and x permuted."""
    axes = list(indices)
    rest = [a for a in range(x.ndim) if a not in indices]
    shape = broadcast_all(index.shape for index in indices.values())
    lead = tuple(movement.expand(index, shape) for index in indices.values())
    tail = tuple(x.shape[a] for a in rest)
    order = (*axes, *rest)
    return lead, tail, movement.permute(x, order) if order != tuple(range(x.ndim)) else x


def _gather(x: Tensor, indices: dict[int, Tensor]) -> Tensor:
    lead, tail, moved = _advanced_first(x, indices)
    sizes = moved.shape[: len(lead)]
    rows = movement.reshape(moved, (element_count(sizes), *tail))
    index = lead[0] if len(lead) == 1 else ops.linear_index(lead, sizes)
    out = ops.take(rows, movement.contiguous(index))
    return movement.permute(out, _back_order(indices, index.ndim, len(tail)))


def _back_order(indices: dict[int, Tensor], count: int, rest: int) -> tuple[int, ...]:
    """Return the permutation from index axes first to where NumPy puts them."""
    axes = list(indices)
    at = axes[0] if _neighbours(axes) else 0
    return (*range(count, count + at), *range(count), *range(count + at, count + rest))


def _advanced_shape(moved: Tensor, indices: dict[int, Tensor], lead: Shape, tail: Shape) -> Shape:
    shape = (*lead, *tail)
    return tuple(shape[a] for a in _back_order(indices, len(lead), len(tail)))


def _value_first(value: Tensor, indices: dict[int, Tensor], count: int, rest: int) -> Tensor:
    order = _back_order(indices, count, rest)
    return movement.permute(value, tuple(order.index(a) for a in range(len(order))))
