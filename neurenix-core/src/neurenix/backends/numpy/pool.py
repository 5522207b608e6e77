"""Pooling: shifted strided slices, rows and columns apart, a sample at a time.

A window of KH x KW is reduced in two passes, along the rows and then along the columns, which
reads KH + KW slices instead of KH * KW.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from neurenix.backends.numpy.columns import Padding, Pair, window_count
from neurenix.backends.numpy.scratch import scratch
from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import ALL, FLOATS, compute_dtype

_BLOCK_ELEMENTS = 1 << 16  # 256 KiB of float32, so that all scratch of a block stays in L2


@kernel("max_pool2d", dtypes=ALL, strided=False)
def max_pool2d(
    out: tuple[Array, Array],
    x: Array,
    *,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
) -> None:
    """Largest value of each window, and its place in the flattened H x W of the input.

    Of equal values the first in row-major order counts; a NaN counts as the largest value.
    """
    height, width = x.shape[2:]
    out_h, out_w = out[0].shape[2:]
    (top, bottom), (left, right) = padding
    lookup, first_row, first_column, corner = _window_places(
        (height, width), (out_h, out_w), kernel_size, stride, padding, dilation
    )
    planes = x.shape[0] * x.shape[1]
    source = x.reshape(planes, height, width)
    values, indices = (array.reshape(planes, out_h, out_w) for array in out)
    padded_h, padded_w = height + top + bottom, width + left + right
    is_padded = (padded_h, padded_w) != (height, width)
    code_dtype = np.dtype(np.uint8 if len(lookup) <= 256 else np.uint64)
    may_be_nan = x.dtype.kind not in "iub"
    step = max(1, _BLOCK_ELEMENTS // (padded_h * padded_w))

    for start in range(0, planes, step):
        part = slice(start, min(start + step, planes))
        block = source[part]
        count = block.shape[0]
        has_nan = may_be_nan and bool(np.isnan(np.max(block)))
        if is_padded:
            padded = scratch("pool.padded", (count, padded_h, padded_w), x.dtype)
            if start == 0 or count < step:
                padded[...] = _lowest(x.dtype)
            padded[:, top : top + height, left : left + width] = block
            block = padded
        row_max = scratch("pool.rows", (count, padded_h, out_w), x.dtype)
        row_code = scratch("pool.row_code", (count, padded_h, out_w), code_dtype)
        row_code[...] = first_column
        taps = _taps(block, 2, kernel_size[1], stride[1], dilation[1], out_w)
        _running_max(row_max, row_code, taps, None, 1, has_nan)
        code = scratch("pool.code", (count, out_h, out_w), code_dtype)
        taps = _taps(row_max, 1, kernel_size[0], stride[0], dilation[0], out_h)
        codes = _taps(row_code, 1, kernel_size[0], stride[0], dilation[0], out_h)
        code[...] = codes[0]
        for row, tap in enumerate(first_row):
            if tap:  # the window begins in the padding
                code[:, row] = codes[tap][:, row] + code_dtype.type(tap * kernel_size[1])
        _running_max(values[part], code, taps, codes, kernel_size[1], has_nan)
        np.take(lookup, code, out=indices[part], mode="clip")
        np.add(indices[part], corner, out=indices[part])


def _running_max(
    best: Array, code: Array, taps: list[Array], codes: list[Array] | None, step: int, has_nan: bool
) -> None:
    """Maximum over the taps into ``best``; where a later tap wins, its code into ``code``.

    The code of a tap is its number times ``step``, plus its element of ``codes``.
    """
    np.copyto(best, taps[0])
    is_better = scratch("pool.better", best.shape, np.dtype(np.bool_))
    candidate = scratch("pool.candidate", code.shape, code.dtype)
    dense = scratch("pool.dense", best.shape, best.dtype)
    for number, tap in enumerate(taps[1:], start=1):
        if tap.strides[-1] != tap.itemsize:  # it is read twice, and strided reads are slow
            np.copyto(dense, tap)
            tap = dense
        np.greater(tap, best, out=is_better)
        if has_nan:
            is_better |= (tap != tap) & (best == best)
        np.maximum(best, tap, out=best)
        mask = is_better.view(np.uint8)
        if codes is None:
            # Numbers rise, so the last tap that won has the largest.
            np.multiply(mask, code.dtype.type(number * step), out=candidate)
            np.maximum(code, candidate, out=code)
        else:
            # code += mask * (candidate - code), modulo the width of the unsigned code: faster
            # than a masked copy, whose branches cannot be predicted.
            np.add(codes[number], code.dtype.type(number * step), out=candidate)
            np.subtract(candidate, code, out=candidate)
            np.multiply(candidate, mask, out=candidate)
            np.add(code, candidate, out=code)


def _taps(x: Array, axis: int, size: int, stride: int, dilation: int, count: int) -> list[Array]:
    """The slices of ``x`` that hold the windows' first, second, ... elements along an axis."""
    lead = (slice(None),) * axis
    span = (count - 1) * stride + 1
    return [x[(*lead, slice(k * dilation, k * dilation + span, stride))] for k in range(size)]


@lru_cache(maxsize=128)
def _window_places(
    size: Pair, out_size: Pair, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> tuple[Array, tuple[int, ...], Array, Array]:
    """Where windows lie in the flattened input.

    Returns:
        Distance of each window element from the window's corner; the first window row inside the
        input, by output row; the first window column inside, by output column; the corners.
    """
    rows = np.arange(kernel_size[0]) * dilation[0]
    columns = np.arange(kernel_size[1]) * dilation[1]
    lookup = (rows[:, None] * size[1] + columns).reshape(-1).astype(np.int64)
    corner_row = np.arange(out_size[0]) * stride[0] - padding[0][0]
    corner_column = np.arange(out_size[1]) * stride[1] - padding[1][0]
    first_row = np.maximum(0, -(corner_row // dilation[0]))
    first_column = np.maximum(0, -(corner_column // dilation[1]))
    corner = (corner_row[:, None] * size[1] + corner_column).astype(np.int64)
    return lookup, tuple(first_row.tolist()), first_column, corner


def _lowest(dtype: np.dtype[Any]) -> Any:
    """The value that loses every comparison."""
    if dtype.kind in "iu":
        return np.iinfo(dtype).min
    return False if dtype.kind == "b" else -np.inf


@kernel("max_pool2d_backward", dtypes=ALL, strided=False)
def max_pool2d_backward(
    out: Array, grad: Array, indices: Array, *, input_shape: tuple[int, ...]
) -> None:
    """Add each window's gradient to the input element that was its maximum."""
    batch, channels = input_shape[:2]
    size = out[0, 0].size if batch and channels else 0
    dtype = compute_dtype(out.dtype)
    plane = np.arange(channels)[:, None] * size
    for n in range(batch):
        places = (indices[n].reshape(channels, -1) + plane).reshape(-1)
        # bincount adds in order and in float64: deterministic, and exact to a last rounding.
        total = np.bincount(places, grad[n].reshape(-1).astype(dtype), channels * size)
        out[n] = total.reshape(out.shape[1:])


@kernel("avg_pool2d", dtypes=FLOATS, strided=False)
def avg_pool2d(
    out: Array,
    x: Array,
    *,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    count_include_pad: bool,
) -> None:
    """Mean of each window; padding counts as zeros, or not at all."""
    channels, height, width = x.shape[1:]
    out_h, out_w = out.shape[2:]
    (top, bottom), (left, right) = padding
    dtype = compute_dtype(x.dtype)
    padded_h = height + top + bottom
    padded = scratch("pool.padded", (channels, padded_h, width + left + right), dtype)
    padded[...] = 0
    rows = scratch("pool.rows", (channels, padded_h, out_w), dtype)
    total = scratch("pool.total", (channels, out_h, out_w), dtype)
    count = _window_sizes((height, width), kernel_size, stride, padding, count_include_pad)
    count = count.astype(dtype)
    for n in range(x.shape[0]):
        padded[:, top : top + height, left : left + width] = x[n]
        _sum(rows, _taps(padded, 2, kernel_size[1], stride[1], 1, out_w))
        _sum(total, _taps(rows, 1, kernel_size[0], stride[0], 1, out_h))
        np.divide(total, count, out=out[n], casting="unsafe")


@kernel("avg_pool2d_backward", dtypes=FLOATS, strided=False)
def avg_pool2d_backward(
    out: Array,
    grad: Array,
    *,
    input_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    count_include_pad: bool,
) -> None:
    """Spread each window's gradient evenly over the window."""
    batch, channels, height, width = input_shape
    out_h, out_w = grad.shape[2:]
    (top, bottom), (left, right) = padding
    dtype = compute_dtype(grad.dtype)
    padded_h = height + top + bottom
    padded = scratch("pool.padded", (channels, padded_h, width + left + right), dtype)
    rows = scratch("pool.rows", (channels, padded_h, out_w), dtype)
    share = scratch("pool.total", (channels, out_h, out_w), dtype)
    count = _window_sizes((height, width), kernel_size, stride, padding, count_include_pad)
    count = count.astype(dtype)
    for n in range(batch):
        np.divide(grad[n], count, out=share)
        rows[...] = 0
        for tap in _taps(rows, 1, kernel_size[0], stride[0], 1, out_h):
            np.add(tap, share, out=tap)
        padded[...] = 0
        for tap in _taps(padded, 2, kernel_size[1], stride[1], 1, out_w):
            np.add(tap, rows, out=tap)
        out[n] = padded[:, top : top + height, left : left + width]


def _sum(total: Array, taps: list[Array]) -> None:
    np.copyto(total, taps[0])
    for tap in taps[1:]:
        np.add(total, tap, out=total)


@lru_cache(maxsize=128)
def _window_sizes(
    size: Pair, kernel_size: Pair, stride: Pair, padding: Padding, count_include_pad: bool
) -> Array:
    """By how many elements each window's sum is divided: (OH, OW) or a single number."""
    if count_include_pad:
        return np.full((1, 1), kernel_size[0] * kernel_size[1])
    inside = []
    for axis in (0, 1):
        count = window_count(size[axis], kernel_size[axis], stride[axis], padding[axis], 1)
        start = np.arange(count) * stride[axis] - padding[axis][0]
        stop = np.minimum(start + kernel_size[axis], size[axis])
        inside.append(stop - np.maximum(start, 0))
    counts: Array = inside[0][:, None] * inside[1]
    return counts


@kernel("adaptive_avg_pool2d", dtypes=FLOATS, strided=False)
def adaptive_avg_pool2d(out: Array, x: Array, *, output_size: Pair) -> None:
    """Mean over a grid of ``output_size`` regions that covers the input."""
    dtype = compute_dtype(x.dtype)
    for i, rows in enumerate(adaptive_regions(x.shape[2], output_size[0])):
        for j, columns in enumerate(adaptive_regions(x.shape[3], output_size[1])):
            region = x[:, :, rows, columns]
            np.mean(region, axis=(2, 3), dtype=dtype, out=out[:, :, i, j])


@kernel("adaptive_avg_pool2d_backward", dtypes=FLOATS, strided=False)
def adaptive_avg_pool2d_backward(out: Array, grad: Array, *, input_shape: tuple[int, ...]) -> None:
    """Spread each region's gradient evenly over the region."""
    dtype = compute_dtype(grad.dtype)
    height, width = input_shape[2:]
    out_h, out_w = grad.shape[2:]
    if (out_h, out_w) == (1, 1):
        np.divide(grad, height * width, out=out, casting="unsafe", dtype=dtype)
        return
    total = out if out.dtype == dtype else scratch("pool.total", out.shape, dtype)
    total[...] = 0
    for i, rows in enumerate(adaptive_regions(height, out_h)):
        for j, columns in enumerate(adaptive_regions(width, out_w)):
            area = (rows.stop - rows.start) * (columns.stop - columns.start)
            total[:, :, rows, columns] += grad[:, :, i : i + 1, j : j + 1].astype(dtype) / area
    if total is not out:
        out[...] = total


@lru_cache(maxsize=128)
def adaptive_regions(size: int, count: int) -> tuple[slice, ...]:
    """The regions [floor(i size / count), ceil((i + 1) size / count)) of an axis."""
    return tuple(slice(i * size // count, -(-(i + 1) * size // count)) for i in range(count))
