"""Batch and layer normalisation, and their gradients.

Statistics come from two passes, the mean first: the one-pass formula E[x^2] - E[x]^2 cancels
where the mean is large. Samples are taken in blocks that stay in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from neurenix.backends.numpy.scratch import scratch
from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import FLOATS, compute_dtype

_BLOCK_ELEMENTS = 1 << 17  # 512 KiB of float32: half of a common L2 cache


@kernel("batch_norm_train", dtypes=FLOATS, strided=False)
def batch_norm_train(
    out: tuple[Array, Array, Array, Array],
    x: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    eps: float,
) -> None:
    """Normalise each channel by the batch's own mean and (biased) variance."""
    y, mean, rstd, var = out
    source, target = _by_channel(x), _by_channel(y)
    count = source.shape[0] * source.shape[2]
    dtype = mean.dtype
    mean[...] = 0
    for part in _blocks(source):
        mean += np.sum(source[part], axis=(0, 2), dtype=dtype)
    mean /= count
    var[...] = 0
    for part in _blocks(source):
        centred = _centred(source[part], mean[:, None])
        var += np.einsum("ncs,ncs->c", centred, centred)
    var /= count
    np.reciprocal(np.sqrt(var + dtype.type(eps)), out=rstd)
    scale = rstd if weight is None else rstd * weight.astype(dtype)
    for part in _blocks(source):
        centred = _centred(source[part], mean[:, None])
        _affine(target[part], centred, scale, bias)


@kernel("batch_norm_inference", dtypes=FLOATS, strided=False)
def batch_norm_inference(
    out: Array,
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    eps: float,
) -> None:
    """Normalise each channel by given statistics: one multiplication and one addition."""
    source, target = _by_channel(x), _by_channel(out)
    dtype = compute_dtype(x.dtype)
    scale = 1 / np.sqrt(var.astype(np.float64) + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean.astype(np.float64) * scale
    if bias is not None:
        shift = shift + bias
    scale = scale.astype(dtype)
    shift = shift.astype(dtype)
    for part in _blocks(source):
        _affine(target[part], source[part], scale, shift)


@kernel("batch_norm_backward", dtypes=FLOATS, strided=False)
def batch_norm_backward(
    out: tuple[Array, Array, Array],
    grad: Array,
    x: Array,
    weight: Array | None,
    mean: Array,
    rstd: Array,
    *,
    eps: float,
) -> None:
    """Gradients of batch_norm_train to input, weight and bias; ``rstd`` has ``eps`` in it."""
    dx, dweight, dbias = out
    source, grads, target = _by_channel(x), _by_channel(grad), _by_channel(dx)
    count = max(source.shape[0] * source.shape[2], 1)
    dtype = mean.dtype
    grad_sum = np.zeros_like(mean)
    product_sum = np.zeros_like(mean)
    for part in _blocks(source):
        centred = _centred(source[part], mean[:, None])
        rows = grads[part].astype(dtype, copy=False)
        grad_sum += np.sum(rows, axis=(0, 2))
        product_sum += np.einsum("ncs,ncs->c", rows, centred)
    product_sum *= rstd
    dbias[...] = grad_sum
    dweight[...] = product_sum
    # dx = weight * rstd * (grad - mean(grad) - normalised * mean(grad * normalised))
    scale = rstd if weight is None else rstd * weight.astype(dtype)
    slope = (-scale * rstd * product_sum / count)[:, None]
    level = (-scale * grad_sum / count)[:, None]
    for part in _blocks(source):
        centred = _centred(source[part], mean[:, None])
        np.multiply(centred, slope, out=centred)
        np.add(centred, level, out=centred)
        scaled = scratch("norm.scaled", centred.shape, dtype)
        np.multiply(grads[part], scale[:, None], out=scaled)
        np.add(scaled, centred, out=target[part], casting="unsafe")


@kernel("running_average", dtypes=FLOATS, strided=False)
def running_average(out: Array, running: Array, value: Array, *, momentum: float) -> None:
    """``running + momentum * (value - running)``, in place."""
    np.add(running, momentum * (value - running), out=out, casting="unsafe")


@kernel("layer_norm", dtypes=FLOATS, strided=False)
def layer_norm(
    out: tuple[Array, Array, Array],
    x: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    axes: int,
    eps: float,
) -> None:
    """Normalise over the ``axes`` trailing axes."""
    source, target = _by_row(x, axes), _by_row(out[0], axes)
    mean, rstd = out[1].reshape(-1), out[2].reshape(-1)
    dtype = mean.dtype
    width = source.shape[1]
    for part in _blocks(source):
        np.sum(source[part], axis=1, dtype=dtype, out=mean[part])
        mean[part] /= width
        centred = _centred(source[part], mean[part, None])
        square = np.einsum("rd,rd->r", centred, centred) / width
        np.reciprocal(np.sqrt(square + dtype.type(eps)), out=rstd[part])
        np.multiply(centred, rstd[part, None], out=centred)
        if weight is not None:
            np.multiply(centred, weight.reshape(-1), out=centred)
        if bias is not None:
            np.add(centred, bias.reshape(-1), out=centred)
        target[part] = centred


@kernel("layer_norm_backward", dtypes=FLOATS, strided=False)
def layer_norm_backward(
    out: tuple[Array, Array, Array],
    grad: Array,
    x: Array,
    weight: Array | None,
    mean: Array,
    rstd: Array,
    *,
    axes: int,
    eps: float,
) -> None:
    """Gradients of layer_norm to input, weight and bias; ``rstd`` has ``eps`` in it."""
    source, grads, target = _by_row(x, axes), _by_row(grad, axes), _by_row(out[0], axes)
    mean, rstd = mean.reshape(-1), rstd.reshape(-1)
    dtype = mean.dtype
    width = max(source.shape[1], 1)
    dweight = np.zeros(source.shape[1], dtype)
    dbias = np.zeros(source.shape[1], dtype)
    for part in _blocks(source):
        normalised = _centred(source[part], mean[part, None])
        np.multiply(normalised, rstd[part, None], out=normalised)
        rows = grads[part].astype(dtype, copy=False)
        dbias += np.sum(rows, axis=0)
        dweight += np.einsum("rd,rd->d", rows, normalised)
        if weight is not None:
            rows = rows * weight.reshape(-1).astype(dtype)
        level = np.sum(rows, axis=1, keepdims=True) / width
        slope = np.einsum("rd,rd->r", rows, normalised)[:, None] / width
        np.multiply(normalised, slope, out=normalised)
        rows = rows - level
        np.subtract(rows, normalised, out=rows)
        np.multiply(rows, rstd[part, None], out=target[part], casting="unsafe")
    out[1].reshape(-1)[...] = dweight
    out[2].reshape(-1)[...] = dbias


def _by_channel(x: Array) -> Array:
    """View of (N, C, ...) as (N, C, S)."""
    return x.reshape(x.shape[0], x.shape[1], prod(x.shape[2:]))


def _by_row(x: Array, axes: int) -> Array:
    """View of an array as (rows, elements normalised together)."""
    cut = x.ndim - axes
    return x.reshape(prod(x.shape[:cut]), prod(x.shape[cut:]))


def _blocks(x: Array) -> Iterator[slice]:
    """Slices along the first axis of about ``_BLOCK_ELEMENTS`` elements each."""
    step = max(1, _BLOCK_ELEMENTS // max(prod(x.shape[1:]), 1))
    for start in range(0, x.shape[0], step):
        yield slice(start, min(start + step, x.shape[0]))


def _centred(x: Array, mean: Array) -> Array:
    """``x - mean`` in scratch memory, in the statistics' dtype."""
    centred = scratch("norm.centred", x.shape, mean.dtype)
    np.subtract(x, mean, out=centred)
    return centred


def _affine(out: Array, x: Array, scale: Array, shift: Array | None) -> None:
    """``x * scale + shift`` by channel; ``out`` may be narrower than the computation."""
    dtype = scale.dtype
    y = out if out.dtype == dtype else scratch("norm.scaled", out.shape, dtype)
    np.multiply(x, scale[:, None], out=y, dtype=dtype)
    if shift is not None:
        np.add(y, shift.astype(dtype, copy=False)[:, None], out=y)
    if y is not out:
        out[...] = y
