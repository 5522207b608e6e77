"""conv2d and its two gradients: one matrix product a sample.

Each sample has a product of its own shape, so its bits do not depend on the batch it came in.
The weight gradient, a sum over the batch, is taken in fixed chunks of samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurenix.backends.numpy.columns import ColumnLayout, Padding, Pair, column_layout
from neurenix.backends.numpy.scratch import scratch
from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import FLOATS, compute_dtype

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
    features = weight.shape[0]
    layout = column_layout(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    dtype = compute_dtype(out.dtype)
    matrix = _grouped(weight.astype(dtype, copy=False).reshape(features, -1), groups)
    offset = None if bias is None else bias.astype(dtype, copy=False)[:, None, None]
    source = _Source(layout, x, dtype, samples=1)
    # Where output rows need no surplus, the product goes straight to its place.
    is_direct = layout.pitch == layout.out_size[1] and out.dtype == dtype
    wide = None if is_direct else scratch("conv.wide", (features, layout.run), dtype)

    for n in range(x.shape[0]):
        target = out[n].reshape(features, -1) if wide is None else wide
        np.matmul(matrix, _grouped(source.columns(n, 1), groups), out=_grouped(target, groups))
        image = layout.image(target)
        if offset is not None:
            np.add(image, offset, out=out[n], casting="unsafe")
        elif wide is not None:
            out[n] = image


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
    channels = input_shape[1]
    features = weight.shape[0]
    layout = column_layout(input_shape[2:], weight.shape[2:], stride, padding, dilation)
    dtype = compute_dtype(out.dtype)
    matrix = _grouped(weight.astype(dtype, copy=False).reshape(features, -1), groups)
    matrix = matrix.swapaxes(-1, -2)
    source = _GradSource(layout, grad, dtype, samples=1)
    taps = len(layout.taps)
    columns = scratch("conv.columns", (channels, taps, layout.run), dtype)
    product = columns.reshape(channels * taps, layout.run)
    planes = scratch("conv.planes", (len(layout.phases), channels, layout.plane_size), dtype)

    for n in range(grad.shape[0]):
        rows = _grouped(source.rows(n, 1), groups)
        if layout.is_input and taps == 1 and out.dtype == dtype:
            np.matmul(matrix, rows, out=_grouped(out[n].reshape(channels, -1), groups))
            continue
        np.matmul(matrix, rows, out=_grouped(product, groups))
        planes[...] = 0
        layout.add_columns(planes, columns)
        layout.read_planes(out[n], planes)


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
    features = weight_shape[0]
    layout = column_layout(x.shape[2:], weight_shape[2:], stride, padding, dilation)
    dtype = compute_dtype(out.dtype)
    batch = x.shape[0]
    chunk = max(1, _CHUNK_OUTPUTS // layout.run)
    source = _Source(layout, x, dtype, samples=min(chunk, batch))
    grad_source = _GradSource(layout, grad, dtype, samples=min(chunk, batch))
    matrix_shape = (features, out.size // features)
    is_direct = out.dtype == dtype
    total = out.reshape(matrix_shape) if is_direct else scratch("conv.total", matrix_shape, dtype)
    part = scratch("conv.part", matrix_shape, dtype)
    total[...] = 0

    for start in range(0, batch, chunk):
        count = min(chunk, batch - start)
        rows = _grouped(grad_source.rows(start, count), groups)
        columns = _grouped(source.columns(start, count), groups)
        np.matmul(rows, columns.swapaxes(-1, -2), out=_grouped(part, groups))
        np.add(total, part, out=total)
    if not is_direct:
        out[...] = total.reshape(out.shape)


def _grouped(matrix: Array, groups: int) -> Array:
    """Split a matrix's rows among the groups; one group keeps the plain matrix, as BLAS likes."""
    return matrix if groups == 1 else matrix.reshape(groups, -1, matrix.shape[-1])


class _Source:
    """The columns of the samples of ``x``, built into scratch memory a few samples at a time."""

    def __init__(self, layout: ColumnLayout, x: Array, dtype: np.dtype[Any], samples: int) -> None:
        self.layout = layout
        self.x = x
        channels = x.shape[1]
        self.planes: Array | None = None
        if not (layout.is_input and x.dtype == dtype):
            shape = (len(layout.phases), channels, layout.plane_size)
            self.planes = scratch("conv.planes", shape, dtype)
            self.planes[...] = 0
        self.matrix: Array | None = None
        if len(layout.taps) > 1 or samples > 1:
            shape = (channels, len(layout.taps), samples * layout.run)
            self.matrix = scratch("conv.columns", shape, dtype)

    def columns(self, start: int, count: int) -> Array:
        """Columns (C * taps, count * run) of ``count`` samples, valid until the next call."""
        layout = self.layout
        run = layout.run
        channels = self.x.shape[1]
        for i in range(count):
            sample = self.x[start + i]
            if self.planes is None:
                planes = sample.reshape(1, channels, -1)
            else:
                planes = self.planes
                layout.fill_planes(planes, sample)
            if self.matrix is None:
                plane: Array = planes[0, :, :run]
                return plane
            layout.fill_columns(self.matrix[:, :, i * run : (i + 1) * run], planes)
        assert self.matrix is not None
        joined: Array = self.matrix.reshape(-1, self.matrix.shape[-1])[:, : count * run]
        return joined


class _GradSource:
    """The output gradient at the layout's row pitch: zero in the surplus, so it adds nothing."""

    def __init__(
        self, layout: ColumnLayout, grad: Array, dtype: np.dtype[Any], samples: int
    ) -> None:
        self.layout = layout
        self.grad = grad
        self.wide: Array | None = None
        if samples > 1 or layout.pitch != layout.out_size[1] or grad.dtype != dtype:
            self.wide = scratch("conv.wide", (grad.shape[1], samples * layout.run), dtype)
            self.wide[...] = 0

    def rows(self, start: int, count: int) -> Array:
        """Gradient (O, count * run) of ``count`` samples, valid until the next call."""
        features = self.grad.shape[1]
        if self.wide is None:
            rows: Array = self.grad[start].reshape(features, -1)
            return rows
        image = self.layout.image(self.wide.reshape(features, -1, self.layout.run))
        for i in range(count):
            image[:, i] = self.grad[start + i]
        joined: Array = self.wide[:, : count * self.layout.run]
        return joined
