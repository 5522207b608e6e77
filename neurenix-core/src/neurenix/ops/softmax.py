"""Softmax and its logarithm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.dtypes import float_dtype
from neurenix.ops import elementwise as ew
from neurenix.ops import reduce
from neurenix.ops.op import TensorMeta, composite
from neurenix.ops.shapes import normalize_axis

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


def _meta(x: Any, *, axis: int) -> TensorMeta:
    return TensorMeta(x.shape, x.dtype)


def _backward_meta(grad: Any, result: Any, *, axis: int) -> TensorMeta:
    return TensorMeta(grad.shape, grad.dtype)


_softmax = composite("softmax", meta=_meta)
_softmax_backward = composite("softmax_backward", meta=_backward_meta)
_log_softmax = composite("log_softmax", meta=_meta)
_log_softmax_backward = composite("log_softmax_backward", meta=_backward_meta)


@_softmax.decompose
def _(x: Tensor, *, axis: int) -> Tensor:
    # Subtracting the maximum changes nothing but the range: no exponential overflows.
    powers = ew.exp(x - reduce.max(x, axis, keepdims=True).detach())
    return powers / powers.sum(axis, keepdims=True)


@_log_softmax.decompose
def _(x: Tensor, *, axis: int) -> Tensor:
    centered = x - reduce.max(x, axis, keepdims=True).detach()
    return centered - ew.log(ew.exp(centered).sum(axis, keepdims=True))


@_softmax_backward.decompose
def _(grad: Tensor, result: Tensor, *, axis: int) -> Tensor:
    return result * (grad - (grad * result).sum(axis, keepdims=True))


@_log_softmax_backward.decompose
def _(grad: Tensor, result: Tensor, *, axis: int) -> Tensor:
    return grad - ew.exp(result) * grad.sum(axis, keepdims=True)


_softmax.vjp("x")(lambda grad, out, axis: _softmax_backward(grad, out, axis=axis))
_log_softmax.vjp("x")(lambda grad, out, axis: _log_softmax_backward(grad, out, axis=axis))


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Return exp(x) / sum(exp(x)) along an axis."""
    return _softmax(x.astype(float_dtype(x.dtype)), axis=normalize_axis(axis, x.ndim))


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Return x - log(sum(exp(x))) along an axis."""
    return _log_softmax(x.astype(float_dtype(x.dtype)), axis=normalize_axis(axis, x.ndim))
