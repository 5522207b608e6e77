"""Scaled dot-product attention, some samples at a time, so that their scores stay in the cache."""

from __future__ import annotations

import math

import numpy as np

from neurenix.backends.numpy.scratch import scratch
from neurenix.backends.numpy.table import Array, kernel
from neurenix.dtypes import FLOATS, bool_, compute_dtype

_BLOCK_ELEMENTS = 1 << 17  # scores at a time: 512 KiB of float32, half of a common L2 cache

# Added to the score of a pair that is not allowed: its weight is then exactly 0, as long as the
# query may attend to anything at all.
_LOWEST = -1e30


@kernel("scaled_dot_product_attention", dtypes=(*FLOATS, bool_))
def scaled_dot_product_attention(
    out: Array,
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None,
    *,
    is_causal: bool,
    scale: float,
) -> None:
    """``softmax(query key^T scale + mask) value``; a query that may attend to nothing gives 0."""
    batch = out.shape[:-2]
    length, source = query.shape[-2], key.shape[-2]
    if source == 0:
        out[...] = 0
        return
    dtype = compute_dtype(query.dtype)
    allowed, added = _masks(mask, is_causal, length, source)
    if not batch:
        _attend(out, query, key, value, allowed, added, scale, dtype)
        return
    q, k, v = (
        np.broadcast_to(x, (*batch, *x.shape[-2:])).astype(dtype, copy=False)
        for x in (query, key, value)
    )
    step = max(1, _BLOCK_ELEMENTS // max(math.prod(batch[1:]) * length * source, 1))
    for start in range(0, batch[0], step):
        part = slice(start, start + step)
        may = _samples(allowed, part, out.ndim)
        plus = _samples(added, part, out.ndim)
        _attend(out[part], q[part], k[part], v[part], may, plus, scale, dtype)


def _masks(
    mask: Array | None, is_causal: bool, length: int, source: int
) -> tuple[Array | None, Array | None]:
    """Return where one may attend, and what is added to the scores."""
    allowed = np.tri(length, source, dtype=np.bool_) if is_causal else None
    if mask is not None and mask.ndim < 2:
        mask = mask.reshape((1,) * (2 - mask.ndim) + mask.shape)
    if mask is None or mask.dtype != np.bool_:
        return allowed, mask
    return mask if allowed is None else mask & allowed, None


def _samples(mask: Array | None, part: slice, ndim: int) -> Array | None:
    """Return what a mask says of some samples."""
    if mask is None:
        return None
    mask = mask.reshape((1,) * (ndim - mask.ndim) + mask.shape)
    return mask if mask.shape[0] == 1 else mask[part]


def _attend(
    out: Array,
    query: Array,
    key: Array,
    value: Array,
    allowed: Array | None,
    added: Array | None,
    scale: float,
    dtype: np.dtype[np.generic],
) -> None:
    scaled = scratch("attention.query", query.shape, dtype)
    np.multiply(query, scale, out=scaled)
    scores = scratch("attention.scores", (*out.shape[:-1], key.shape[-2]), dtype)
    np.matmul(scaled, key.swapaxes(-1, -2), out=scores)
    if added is not None:
        np.add(scores, added, out=scores, casting="unsafe")
    if allowed is not None:
        np.add(scores, np.where(allowed, dtype.type(0), dtype.type(_LOWEST)), out=scores)
    np.subtract(scores, np.max(scores, axis=-1, keepdims=True), out=scores)
    np.exp(scores, out=scores)
    total = np.sum(scores, axis=-1, keepdims=True)
    product = out if out.dtype == dtype else scratch("attention.product", out.shape, dtype)
    np.matmul(scores, value, out=product)
    # There are fewer features than keys in a long text, and about as many in a short one.
    np.divide(product, total, out=out, casting="unsafe")
    if allowed is not None and not (any_allowed := np.any(allowed, axis=-1)).all():
        np.copyto(out, 0, where=~any_allowed[..., None])
