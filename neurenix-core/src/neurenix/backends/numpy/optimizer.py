"""Optimizer steps, in place and in blocks that stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neurenix.backends.numpy.scratch import scratch
from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import FLOATS, compute_dtype

_BLOCK = 1 << 15


@kernel("sgd_step", dtypes=FLOATS, strided=False)
def sgd_step(out: Array, param: Array, grad: Array, lr: Array, *, weight_decay: float) -> None:
    """``param -= lr * (grad + weight_decay * param)``."""
    for target, p, g in _blocks(out, param, grad):
        update = _decayed(g, p, weight_decay)
        _descend(target, p, update, lr)


@kernel("sgd_momentum_step", dtypes=FLOATS, strided=False)
def sgd_momentum_step(
    out: tuple[Array, Array],
    param: Array,
    grad: Array,
    momentum_buffer: Array,
    lr: Array,
    *,
    momentum: float,
    dampening: float,
    nesterov: bool,
    weight_decay: float,
    first_step: bool,
) -> None:
    """SGD with momentum: the buffer is an average of gradients; the first one starts it."""
    for target, velocity, p, g, old in _blocks(*out, param, grad, momentum_buffer):
        update = _decayed(g, p, weight_decay)
        dtype = update.dtype
        average = scratch("optimizer.average", update.shape, dtype)
        if first_step:
            average[...] = update
        else:
            np.multiply(old, dtype.type(momentum), out=average)
            if dampening == 0:
                np.add(average, update, out=average)
            else:
                average += update * dtype.type(1 - dampening)
        velocity[...] = average
        if nesterov:
            np.multiply(average, dtype.type(momentum), out=average)
            np.add(update, average, out=update)
        else:
            update = average
        _descend(target, p, update, lr)


@kernel("adam_step", dtypes=FLOATS, strided=False)
def adam_step(
    out: tuple[Array, Array, Array],
    param: Array,
    grad: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    lr: Array,
    step: Array,
    *,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """Adam, and with ``decoupled`` weight decay AdamW. ``step`` counts from 1."""
    rate, count = float(lr), float(step)
    step_size = rate / (1 - beta1**count)
    root = (1 - beta2**count) ** 0.5
    for target, m_out, v_out, p, g, m, v in _blocks(*out, param, grad, exp_avg, exp_avg_sq):
        update = _decayed(g, p, 0.0 if decoupled else weight_decay)
        dtype = update.dtype
        first = scratch("optimizer.average", update.shape, dtype)
        second = scratch("optimizer.square", update.shape, dtype)
        # m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
        np.subtract(update, m, out=first)
        np.multiply(first, dtype.type(1 - beta1), out=first)
        np.add(first, m, out=first)
        np.multiply(update, update, out=update)
        np.multiply(update, dtype.type(1 - beta2), out=update)
        np.multiply(v, dtype.type(beta2), out=second)
        np.add(second, update, out=second)
        m_out[...] = first
        v_out[...] = second
        np.sqrt(second, out=second)
        np.divide(second, dtype.type(root), out=second)
        np.add(second, dtype.type(eps), out=second)
        np.divide(first, second, out=first)
        np.multiply(first, dtype.type(step_size), out=first)
        if decoupled and weight_decay:
            np.multiply(p, dtype.type(1 - rate * weight_decay), out=second)
        else:
            second[...] = p
        np.subtract(second, first, out=target, casting="unsafe")


def _blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The arrays of one step, flattened and cut into blocks."""
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, _BLOCK):
        yield tuple(array[start : start + _BLOCK] for array in flat)


def _decayed(grad: Array, param: Array, weight_decay: float) -> Array:
    """``grad + weight_decay * param`` in scratch memory."""
    dtype = compute_dtype(param.dtype)
    update = scratch("optimizer.update", grad.shape, dtype)
    if weight_decay:
        np.multiply(param, dtype.type(weight_decay), out=update)
        np.add(update, grad, out=update)
    else:
        update[...] = grad
    return update


def _descend(target: Array, param: Array, update: Array, lr: Array) -> None:
    np.multiply(update, update.dtype.type(float(lr)), out=update)
    np.subtract(param, update, out=target, casting="unsafe")
