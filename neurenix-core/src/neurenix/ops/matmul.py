"""Matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.dtypes import bool_, result_dtype
from neurenix.errors import DTypeError, ShapeError
from neurenix.ops.movement import squeeze, transpose, unsqueeze
from neurenix.ops.op import TensorMeta, composite, primitive
from neurenix.ops.shapes import broadcast_shapes

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


def _matmul_meta(x: Any, y: Any) -> TensorMeta:
    batch = broadcast_shapes(x.shape[:-2], y.shape[:-2])
    return TensorMeta((*batch, x.shape[-2], y.shape[-1]), x.dtype)


_matmul = primitive("matmul", meta=_matmul_meta)
_matmul.vjp("x")(lambda grad, y: matmul(grad, transpose(y)))
_matmul.vjp("y")(lambda grad, x: matmul(transpose(x), grad))


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """Return the matrix product over the last two axes; leading axes broadcast.

    A 1-d operand is a row on the left, a column on the right, and that axis goes from the
    result.

    Shape:
        ``(..., M, K)`` and ``(..., K, N)`` to ``(..., M, N)``.

    Raises:
        ShapeError: The inner sizes differ, or an operand is 0-d.
    """
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError("matmul needs tensors of at least one axis; scale with * instead")
    if x.shape[-1] != y.shape[-2 if y.ndim > 1 else -1]:
        raise ShapeError(
            f"matmul of {x.shape} and {y.shape}: the last axis of the first, {x.shape[-1]}, must "
            f"equal the second's {'last but one' if y.ndim > 1 else 'only'} axis, "
            f"{y.shape[-2 if y.ndim > 1 else -1]}"
        )
    if x.dtype != y.dtype:
        dtype = result_dtype(x.dtype, y.dtype)
        x, y = x.astype(dtype), y.astype(dtype)
    if x.dtype == bool_:
        raise DTypeError("matmul of bools has no meaning; cast them to an integer or float dtype")
    row, column = x.ndim == 1, y.ndim == 1
    if row:
        x = unsqueeze(x, 0)
    if column:
        y = unsqueeze(y, 1)
    out = _matmul(x, y)
    if column:
        out = squeeze(out, -1)
    return squeeze(out, -1 if column else -2) if row else out


def _linear_meta(x: Any, weight: Any, bias: Any) -> TensorMeta:
    return TensorMeta((*x.shape[:-1], weight.shape[0]), x.dtype)


_linear = composite("linear", meta=_linear_meta)


@_linear.decompose
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    out = matmul(x, transpose(weight))
    return out if bias is None else out + bias


def _rows(x: Tensor) -> Tensor:
    """Flatten all axes but the last."""
    return x if x.ndim == 2 else x.reshape((-1 if x.shape[-1] else 0, x.shape[-1]))


_linear.vjp("x")(lambda grad, weight: matmul(grad, weight))
_linear.vjp("weight")(lambda grad, x: matmul(transpose(_rows(grad)), _rows(x)))
_linear.vjp("bias")(lambda grad: grad)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x W^T + b.

    Args:
        x: Features, ``(..., in_features)``.
        weight: W, ``(out_features, in_features)``.
        bias: b, ``(out_features,)``.

    Raises:
        ShapeError: The shapes do not fit together.
    """
    if x.ndim == 0 or weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"linear with a weight of shape {weight.shape} (out_features, in_features) expects "
            f"(..., {weight.shape[-1] if weight.ndim else '?'}), but got {x.shape}"
        )
    if bias is not None and bias.shape != (weight.shape[0],):
        raise ShapeError(
            f"linear expects a bias of shape {(weight.shape[0],)}, but got {bias.shape}"
        )
    if x.dtype != weight.dtype:
        dtype = result_dtype(x.dtype, weight.dtype)
        x, weight = x.astype(dtype), weight.astype(dtype)
    return _linear(x, weight, bias if bias is None else bias.astype(weight.dtype))
