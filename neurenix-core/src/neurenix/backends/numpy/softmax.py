"""softmax, log_softmax, cross entropy over class indices, and their gradients."""

from __future__ import annotations

import numpy as np

from neurenix.backends.numpy.scratch import scratch
from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import FLOATS, compute_dtype


@kernel("softmax", dtypes=FLOATS, strided=False)
def softmax(out: Array, x: Array, *, axis: int) -> None:
    """exp(x - max) / sum(exp(x - max)) along an axis."""
    y = _work(out, x)
    _subtract_max(y, x, axis)
    np.exp(y, out=y)
    np.divide(y, _sum(y, axis), out=out, casting="unsafe")


@kernel("softmax_backward", dtypes=FLOATS, strided=False)
def softmax_backward(out_: Array, grad: Array, out: Array, *, axis: int) -> None:
    """``y * (grad - sum(grad * y))`` for ``y = softmax(x)``."""
    work = _work(out_, grad)
    np.multiply(grad, out, out=work, dtype=work.dtype)
    total = _sum(work, axis)
    np.subtract(grad, total, out=work, dtype=work.dtype)
    np.multiply(work, out, out=out_, casting="unsafe")


@kernel("log_softmax", dtypes=FLOATS, strided=False)
def log_softmax(out: Array, x: Array, *, axis: int) -> None:
    """X - max - log(sum(exp(x - max))) along an axis."""
    y = _work(out, x)
    _subtract_max(y, x, axis)
    exp = np.exp(y, out=scratch("softmax.exp", y.shape, y.dtype))
    np.subtract(y, np.log(_sum(exp, axis)), out=out, casting="unsafe")


@kernel("log_softmax_backward", dtypes=FLOATS, strided=False)
def log_softmax_backward(out_: Array, grad: Array, out: Array, *, axis: int) -> None:
    """``grad - exp(y) * sum(grad)`` for ``y = log_softmax(x)``."""
    work = _work(out_, grad)
    total = np.sum(grad, axis=axis, keepdims=True, dtype=work.dtype)
    exp = np.exp(out, out=scratch("softmax.exp", work.shape, work.dtype), dtype=work.dtype)
    np.multiply(exp, total, out=exp)
    np.subtract(grad, exp, out=out_, casting="unsafe")


@kernel("softmax_cross_entropy", strided=False)
def softmax_cross_entropy(out: tuple[Array, Array], logits: Array, target: Array) -> None:
    """Negative log-probability of the target class of each sample, and all log-probabilities."""
    loss, log_probs = out
    classes = logits.shape[1]
    if target.size and not (target.min() >= 0 and target.max() < classes):
        wrong = int(np.flatnonzero((target < 0) | (target >= classes))[0])
        raise IndexError(
            f"the target of sample {wrong} is class {target[wrong]}, but the logits have "
            f"{classes} classes; targets must be from 0 to {classes - 1}"
        )
    log_softmax(log_probs, logits, axis=1)
    np.negative(log_probs[np.arange(len(target)), target], out=loss)


@kernel("softmax_cross_entropy_backward", strided=False)
def softmax_cross_entropy_backward(
    out: Array, grad: Array, logits: Array, log_probs: Array, target: Array
) -> None:
    """``(softmax - one_hot(target)) * grad`` for each sample."""
    work = _work(out, log_probs)
    np.exp(log_probs, out=work, dtype=work.dtype)
    work[np.arange(len(target)), target] -= 1
    np.multiply(work, grad[:, None], out=out, casting="unsafe")


def _work(out: Array, x: Array) -> Array:
    """Where to compute: ``out`` itself, unless the computation runs in a wider dtype."""
    dtype = compute_dtype(x.dtype)
    return out if out.dtype == dtype else scratch("softmax.work", out.shape, dtype)


def _subtract_max(y: Array, x: Array, axis: int) -> None:
    """The largest value becomes 0, so that exp cannot overflow."""
    largest = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    np.subtract(x, largest, out=y, dtype=y.dtype)


def _sum(x: Array, axis: int) -> Array:
    total: Array = np.sum(x, axis=axis, keepdims=True)
    return total
