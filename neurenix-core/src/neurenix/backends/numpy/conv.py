"""conv2d and its two gradients: one matrix product a sample.

Each sample has a product of its own shape, so its bits do not depend on the batch it came in.
Small samples are laid out several at a time, which spares calls, but still multiplied one by one.
The weight gradient, a sum over the batch, is taken in fixed chunks of samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurenix.backends.numpy.columns import ColumnLayout, Padding, Pair, column_layout
from neurenix.backends.numpy.scratch import scratch
from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import FLOATS, compute_dtype

# Samples are laid out together up to as much scratch as stays in the cache: 512 KiB of float32.
_GROUP_ELEMENTS = 1 << 17
# Weight gradients join samples until a product sums over this many outputs: long sums are what
# GEMM is fast at, and the gradient is added up once a chunk. The number of samples follows from
# the sample's shape alone.
_CHUNK_OUTPUTS = 1024


@kernel("conv2d", dtypes=FLOATS, strided=False)
def conv2d(
    out: Array,
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> None:
    """Cross-correlate ``x`` (N, C, H, W) with ``weight`` (O, C / groups, KH, KW)."""
    batch, channels = x.shape[:2]
    features = weight.shape[0]
    layout = column_layout(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    dtype = compute_dtype(out.dtype)
    matrix = _matrix(weight, groups, dtype)
    offset = None if bias is None else bias.astype(dtype, copy=False)[:, None, None]
    step = max(1, min(batch, _group(layout, channels, features)))
    columns = _Columns(layout, x, dtype, step)
    # Where output rows need no surplus, the product goes straight to its place.
    is_direct = layout.pitch == layout.out_size[1] and out.dtype == dtype
    wide = None if is_direct else scratch("conv.wide", (step, features, layout.run), dtype)

    for start in range(0, batch, step):
        part = slice(start, min(start + step, batch))
        count = part.stop - start
        if wide is None:
            target = out[part].reshape(count, features, layout.run)
        else:
            target = wide[:count]
        np.matmul(matrix, _split(columns.each(part), groups), out=_split(target, groups))
        if offset is not None:
            np.add(layout.image(target), offset, out=out[part], casting="unsafe")
        elif wide is not None:
            out[part] = layout.image(target)


@kernel("conv2d_grad_input", dtypes=FLOATS, strided=False)
def conv2d_grad_input(
    out: Array,
    grad: Array,
    weight: Array,
    *,
    input_shape: tuple[int, ...],
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> None:
    """Gradient of conv2d to its input: the transposed convolution of ``grad`` (N, O, OH, OW)."""
    batch, channels = input_shape[:2]
    layout = column_layout(input_shape[2:], weight.shape[2:], stride, padding, dilation)
    dtype = compute_dtype(out.dtype)
    matrix = _matrix(weight, groups, dtype).swapaxes(-1, -2)
    step = max(1, min(batch, _group(layout, channels, weight.shape[0])))
    rows = _Rows(layout, grad, dtype, step)
    taps = len(layout.taps)
    is_direct = layout.is_input and taps == 1 and out.dtype == dtype
    columns = scratch("conv.columns", (step, channels, taps, layout.run), dtype)
    planes_shape = (len(layout.phases), step, channels, layout.plane_size)
    planes = scratch("conv.planes", planes_shape, dtype)

    for start in range(0, batch, step):
        part = slice(start, min(start + step, batch))
        count = part.stop - start
        target = out[part] if is_direct else columns[:count]
        product = target.reshape(count, channels * taps, layout.run)
        np.matmul(matrix, _split(rows.each(part), groups), out=_split(product, groups))
        if not is_direct:
            planes[:, :count] = 0
            layout.add_columns(planes[:, :count], columns[:count])
            layout.read_planes(out[part], planes[:, :count])


@kernel("conv2d_grad_weight", dtypes=FLOATS, strided=False)
def conv2d_grad_weight(
    out: Array,
    grad: Array,
    x: Array,
    *,
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> None:
    """Gradient of conv2d to its weight, summed over the batch."""
    batch = x.shape[0]
    features = weight_shape[0]
    layout = column_layout(x.shape[2:], weight_shape[2:], stride, padding, dilation)
    dtype = compute_dtype(out.dtype)
    step = max(1, min(batch, _CHUNK_OUTPUTS // layout.run))
    columns = _Columns(layout, x, dtype, step, joined=True)
    rows = _Rows(layout, grad, dtype, step, joined=True)
    shape = (groups, features // groups, out.size // features)
    is_direct = out.dtype == dtype
    total = out.reshape(shape) if is_direct else scratch("conv.total", shape, dtype)
    product = scratch("conv.part", shape, dtype)
    total[...] = 0

    for start in range(0, batch, step):
        part = slice(start, min(start + step, batch))
        left = rows.together(part)
        right = columns.together(part)
        left = left.reshape(groups, -1, left.shape[-1])
        right = right.reshape(groups, -1, right.shape[-1])
        np.matmul(left, right.swapaxes(-1, -2), out=product)
        np.add(total, product, out=total)
    if not is_direct:
        out[...] = total.reshape(out.shape)


def _matrix(weight: Array, groups: int, dtype: np.dtype[Any]) -> Array:
    """The weight as a matrix (O, C / groups * KH * KW), or as one a group."""
    matrix = weight.astype(dtype, copy=False).reshape(weight.shape[0], -1)
    return matrix if groups == 1 else matrix.reshape(groups, -1, matrix.shape[-1])


def _split(stack: Array, groups: int) -> Array:
    """Split the rows of matrices (N, rows, columns) among the groups, if there are several."""
    if groups == 1:
        return stack
    return stack.reshape(stack.shape[0], groups, -1, stack.shape[-1])


def _group(layout: ColumnLayout, channels: int, features: int) -> int:
    """How many samples to lay out together; it follows from the sample's shape alone."""
    columns = channels * len(layout.taps) * layout.run
    planes = channels * len(layout.phases) * layout.plane_size
    return max(1, _GROUP_ELEMENTS // (columns + planes + features * layout.run))


class _Columns:
    """The columns of ``x``, built in scratch memory some samples at a time.

    ``joined`` puts the samples' columns side by side in one matrix, instead of in one each.
    """

    def __init__(
        self,
        layout: ColumnLayout,
        x: Array,
        dtype: np.dtype[Any],
        samples: int,
        joined: bool = False,
    ) -> None:
        self.layout = layout
        self.x = x
        channels, taps = x.shape[1], len(layout.taps)
        self.planes: Array | None = None
        if not (layout.is_input and x.dtype == dtype):
            shape = (len(layout.phases), samples, channels, layout.plane_size)
            self.planes = scratch("conv.planes", shape, dtype)
            self.planes[...] = 0
        self.columns: Array | None = None
        if joined and samples > 1:
            stored = scratch("conv.columns", (channels, taps, samples, layout.run), dtype)
            self.columns = stored.transpose(2, 0, 1, 3)
        elif taps > 1:
            self.columns = scratch("conv.columns", (samples, channels, taps, layout.run), dtype)

    def each(self, part: slice) -> Array:
        """Columns (N, C * taps, run) of the samples of ``part``, valid until the next call."""
        built = self._build(part)
        return built.reshape(built.shape[0], -1, built.shape[-1])

    def together(self, part: slice) -> Array:
        """Columns (C * taps, N * run) of the samples of ``part``, valid until the next call."""
        built = self._build(part).transpose(1, 2, 0, 3)
        return built.reshape(built.shape[0] * built.shape[1], -1)

    def _build(self, part: slice) -> Array:
        layout = self.layout
        samples = self.x[part]
        count, channels = samples.shape[:2]
        if self.planes is None:
            planes = samples.reshape(1, count, channels, -1)
        else:
            planes = self.planes[:, :count]
            layout.fill_planes(planes, samples)
        if self.columns is None:
            run: Array = planes[0, :, :, None, : layout.run]
            return run
        columns: Array = self.columns[:count]
        layout.fill_columns(columns, planes)
        return columns


class _Rows:
    """The output gradient at the layout's row pitch: zero in the surplus, so it adds nothing."""

    def __init__(
        self,
        layout: ColumnLayout,
        grad: Array,
        dtype: np.dtype[Any],
        samples: int,
        joined: bool = False,
    ) -> None:
        self.layout = layout
        self.grad = grad
        features = grad.shape[1]
        self.wide: Array | None = None
        if joined and samples > 1:
            stored = scratch("conv.wide", (features, samples, layout.run), dtype)
            stored[...] = 0
            self.wide = stored.transpose(1, 0, 2)
        elif layout.pitch != layout.out_size[1] or grad.dtype != dtype:
            self.wide = scratch("conv.wide", (samples, features, layout.run), dtype)
            self.wide[...] = 0

    def each(self, part: slice) -> Array:
        """Gradients (N, O, run) of the samples of ``part``, valid until the next call."""
        grad = self.grad[part]
        if self.wide is None:
            return grad.reshape(*grad.shape[:2], self.layout.run)
        wide: Array = self.wide[: grad.shape[0]]
        self.layout.image(wide)[...] = grad
        return wide

    def together(self, part: slice) -> Array:
        """Gradients (O, N * run) of the samples of ``part``, valid until the next call."""
        rows = self.each(part).transpose(1, 0, 2)
        return rows.reshape(rows.shape[0], -1)
