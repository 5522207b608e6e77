"""Kernels that do the work of several ops while a block of results is in the cache."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neurenix.backends.numpy.columns import ColumnLayout, Padding, Pair, column_layout
from neurenix.backends.numpy.conv import _Columns, _matrix, conv2d
from neurenix.backends.numpy.pool import _lowest, _taps
from neurenix.backends.numpy.scratch import scratch
from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import ALL, FLOATS, compute_dtype

_BLOCK_ELEMENTS = 1 << 18  # 1 MiB of float32: a common L2 cache
_POOL_ELEMENTS = 1 << 16  # 256 KiB of float32, so that all scratch of a block stays in L2
# A product with few columns reads the weights for little work: OpenBLAS reached 155 GFLOP/s at
# 63 columns where it reaches 240 at 224. So small samples share a product, up to so many columns.
_FEW_COLUMNS = 128
_JOINED_COLUMNS = 1024


@kernel("conv2d_fused", dtypes=FLOATS, strided=False)
def conv2d_fused(
    out: Array,
    x: Array,
    weight: Array,
    bias: Array | None,
    residual: Array | None,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
    activation: str,
) -> None:
    """Convolve some samples, then add the residual and take the activation while they are hot.

    Small samples are multiplied together, so that, unlike conv2d's, their last bits may depend
    on the batch.
    """
    layout = column_layout(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    if groups == 1 and x.shape[0] > 1 and layout.run <= _FEW_COLUMNS:
        blocks = _joined(out, x, weight, bias, layout)
    else:
        blocks = _apart(out, x, weight, bias, stride, padding, dilation, groups)
    for part in blocks:
        block = out[part]
        if residual is not None:
            np.add(block, residual[part], out=block)
        if activation == "relu":
            np.maximum(block, 0, out=block)


def _apart(
    out: Array,
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Iterator[slice]:
    """Convolve with a product a sample; yield the samples of a block when they are done."""
    step = max(1, _BLOCK_ELEMENTS // max(out[:1].size, 1))
    for part in _parts(x.shape[0], step):
        conv2d(
            out[part],
            x[part],
            weight,
            bias,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )
        yield part


def _joined(
    out: Array, x: Array, weight: Array, bias: Array | None, layout: ColumnLayout
) -> Iterator[slice]:
    """Convolve with a product for several samples; yield them when they are done."""
    features, run = weight.shape[0], layout.run
    dtype = compute_dtype(out.dtype)
    matrix = _matrix(weight, 1, dtype)
    step = min(x.shape[0], max(1, _JOINED_COLUMNS // run))
    columns = _Columns(layout, x, dtype, step, joined=True)
    product = scratch("conv.wide", (features, step * run), dtype)
    for part in _parts(x.shape[0], step):
        count = part.stop - part.start
        target = product[:, : count * run]
        np.matmul(matrix, columns.together(part), out=target)
        image = layout.image(target.reshape(features, count, run)).transpose(1, 0, 2, 3)
        if bias is None:
            out[part] = image
        else:
            np.add(image, bias[:, None, None], out=out[part], casting="unsafe", dtype=dtype)
        yield part


def _parts(count: int, step: int) -> Iterator[slice]:
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


@kernel("max_pool2d_values", dtypes=ALL, strided=False)
def max_pool2d_values(
    out: Array,
    x: Array,
    *,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
) -> None:
    """Largest value of each window, NaN being the largest.

    Down the columns first: that reads whole rows, and leaves fewer rows to be read in strides.
    """
    height, width = x.shape[2:]
    out_h, out_w = out.shape[2:]
    (top, bottom), (left, right) = padding
    planes = x.shape[0] * x.shape[1]
    source, target = x.reshape(planes, height, width), out.reshape(planes, out_h, out_w)
    padded_h, padded_w = height + top + bottom, width + left + right
    is_padded = (padded_h, padded_w) != (height, width)
    step = max(1, _POOL_ELEMENTS // (padded_h * padded_w))
    for part in _parts(planes, step):
        block = source[part]
        count = block.shape[0]
        if is_padded:
            padded = scratch("pool.padded", (count, padded_h, padded_w), x.dtype)
            if part.start == 0 or count < step:
                padded[...] = _lowest(x.dtype)
            padded[:, top : top + height, left : left + width] = block
            block = padded
        rows = scratch("pool.rows", (count, out_h, padded_w), x.dtype)
        _maximum(rows, _taps(block, 1, kernel_size[0], stride[0], dilation[0], out_h))
        _maximum(target[part], _taps(rows, 2, kernel_size[1], stride[1], dilation[1], out_w))


def _maximum(best: Array, candidates: list[Array]) -> None:
    np.copyto(best, candidates[0])
    for candidate in candidates[1:]:
        np.maximum(best, candidate, out=best)
