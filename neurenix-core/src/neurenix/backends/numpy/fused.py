"""Kernels that do the work of several ops while a block of results is in the cache."""

from __future__ import annotations

import numpy as np

from neurenix.backends.numpy.columns import Padding, Pair
from neurenix.backends.numpy.conv import conv2d
from neurenix.backends.numpy.pool import _lowest as lowest
from neurenix.backends.numpy.pool import _taps as taps
from neurenix.backends.numpy.scratch import scratch
from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import ALL, FLOATS

_BLOCK_ELEMENTS = 1 << 18  # 1 MiB of float32: a common L2 cache
_POOL_ELEMENTS = 1 << 16  # 256 KiB of float32, so that all scratch of a block stays in L2


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
    """Convolve some samples, then add the residual and take the activation while they are hot."""
    batch = x.shape[0]
    step = max(1, _BLOCK_ELEMENTS // max(out[:1].size, 1))
    for start in range(0, batch, step):
        part = slice(start, min(start + step, batch))
        block = out[part]
        conv2d(
            block,
            x[part],
            weight,
            bias,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )
        if residual is not None:
            np.add(block, residual[part], out=block)
        if activation == "relu":
            np.maximum(block, 0, out=block)


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
    """Largest value of each window, along the rows and then along the columns; NaN wins."""
    height, width = x.shape[2:]
    out_h, out_w = out.shape[2:]
    (top, bottom), (left, right) = padding
    planes = x.shape[0] * x.shape[1]
    source, target = x.reshape(planes, height, width), out.reshape(planes, out_h, out_w)
    padded_h, padded_w = height + top + bottom, width + left + right
    is_padded = (padded_h, padded_w) != (height, width)
    step = max(1, _POOL_ELEMENTS // (padded_h * padded_w))
    for start in range(0, planes, step):
        part = slice(start, min(start + step, planes))
        block = source[part]
        count = block.shape[0]
        if is_padded:
            padded = scratch("pool.padded", (count, padded_h, padded_w), x.dtype)
            if start == 0 or count < step:
                padded[...] = lowest(x.dtype)
            padded[:, top : top + height, left : left + width] = block
            block = padded
        rows = scratch("pool.rows", (count, padded_h, out_w), x.dtype)
        _maximum(rows, taps(block, 2, kernel_size[1], stride[1], dilation[1], out_w))
        _maximum(target[part], taps(rows, 1, kernel_size[0], stride[0], dilation[0], out_h))


def _maximum(best: Array, candidates: list[Array]) -> None:
    np.copyto(best, candidates[0])
    for candidate in candidates[1:]:
        np.maximum(best, candidate, out=best)
