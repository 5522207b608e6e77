"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from neurenix.dtypes import bool_, int32, result_dtype
from neurenix.errors import ShapeError
from neurenix.ops import elementwise as ew
from neurenix.ops.creation import arange
from neurenix.ops.matmul import matmul
from neurenix.ops.movement import transpose, unsqueeze
from neurenix.ops.op import TensorMeta, composite
from neurenix.ops.shapes import broadcast_all, broadcast_shapes
from neurenix.ops.softmax import softmax

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


def _meta(
    query: Any, key: Any, value: Any, mask: Any, *, is_causal: bool, scale: float
) -> TensorMeta:
    batch = broadcast_all((query.shape[:-2], key.shape[:-2], value.shape[:-2]))
    return TensorMeta((*batch, query.shape[-2], value.shape[-1]), query.dtype)


_attention = composite("scaled_dot_product_attention", meta=_meta)


@_attention.decompose
def _(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    is_causal: bool,
    scale: float,
) -> Tensor:
    scores = matmul(query * scale, transpose(key))
    allowed: Tensor | None = None
    if is_causal:
        steps = arange(max(scores.shape[-2:]), dtype=int32, device=scores.device)
        allowed = unsqueeze(steps[: scores.shape[-2]], 1) >= steps[: scores.shape[-1]]
    if mask is not None and mask.dtype == bool_:
        allowed = mask if allowed is None else allowed & mask
    elif mask is not None:
        scores = scores + mask
    if allowed is None:
        return matmul(softmax(scores, -1), value)
    # A finite score keeps a query that may attend to nothing from becoming NaN: its weights are
    # set to 0 like all that are not allowed.
    lowest = -6.5e4 if scores.dtype.name == "float16" else -1e30
    weights = softmax(ew.where(allowed, scores, lowest), -1)
    return matmul(ew.where(allowed, weights, 0.0), value)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Return ``softmax(query key^T scale + mask) value``.

    Args:
        query: ``(..., T, E)``.
        key: ``(..., S, E)``.
        value: ``(..., S, V)``.
        mask: Broadcastable to ``(..., T, S)``: bools, True where a query may attend to a key, or
            floats that are added to the scores. A query that may attend to nothing gives 0.
        is_causal: Whether query t may attend to the keys 0 … t alone.
        scale: By default ``1 / sqrt(E)``.

    Shape:
        ``(..., T, V)``; leading axes broadcast.

    Raises:
        ShapeError: The shapes do not fit together.

    Reference:
        A. Vaswani et al., "Attention is all you need", NeurIPS 2017.
    """
    if min(query.ndim, key.ndim, value.ndim) < 2 or query.shape[-1] != key.shape[-1]:
        raise ShapeError(
            "attention expects query (..., T, E), key (..., S, E) and value (..., S, V), but got "
            f"{query.shape}, {key.shape} and {value.shape}"
        )
    if key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            f"attention needs as many values as keys, but got key {key.shape}, value {value.shape}"
        )
    if mask is not None:
        wide = (*broadcast_shapes(query.shape[:-2], key.shape[:-2]), query.shape[-2], key.shape[-2])
        if broadcast_shapes(mask.shape, wide) != wide:
            raise ShapeError(
                f"attention expects a mask that broadcasts to {wide}, got {mask.shape}"
            )
    dtype = result_dtype(query.dtype, key.dtype, value.dtype)
    return _attention(
        query.astype(dtype),
        key.astype(dtype),
        value.astype(dtype),
        mask,
        is_causal=is_causal,
        scale=1.0 / math.sqrt(query.shape[-1]) if scale is None else float(scale),
    )
