"""One vector a sample from what a layer gives."""

from __future__ import annotations

from typing import Any

import neurenix
from neurenix import Tensor
from neurenix.dtypes import is_floating
from neurenix.nn import Module
from neurenix_transfer.sources import Inputs


def pooled(out: Any, kept: Tensor | None = None) -> Tensor:
    """Average a layer's output over its positions.

    Args:
        out: The output.
        kept: ``(N, T)``, False for tokens that only fill a text up; None keeps all.

    Raises:
        TypeError: The output is no tensor.

    Shape:
        ``(N, C, H, W)`` to ``(N, C)``, tokens ``(N, T, D)`` to ``(N, D)``, ``(N, C)`` as it is;
        more axes are flattened.
    """
    if not isinstance(out, Tensor) or out.ndim < 2:
        raise TypeError(
            f"expected a tensor (N, ...), which can be pooled; got {_described(out)}. Choose "
            "another layer, or take what it gives as it is (pool=None)"
        )
    if out.ndim == 2:
        return out
    if out.ndim == 4:
        return out.mean(axis=(2, 3))
    if out.ndim > 4:
        return out.flatten(1)
    if kept is None or kept.shape != out.shape[:2]:
        return out.mean(axis=1)
    share = kept.astype(out.dtype)
    total = neurenix.maximum(share.sum(axis=1, keepdims=True), 1.0)
    return (out * (share / total).unsqueeze(2)).sum(axis=1)


def tokens_kept(base: Module, inputs: Inputs) -> Tensor | None:
    """Return which tokens are text, ``(N, T)``, for a base that takes ids and says what fills up.

    Args:
        base: The base; it says so by ``pad_token_id``.
        inputs: What it takes.
    """
    pad = getattr(base, "pad_token_id", None)
    if pad is None or not isinstance(inputs, Tensor) or inputs.ndim != 2:
        return None
    return None if is_floating(inputs.dtype) else inputs != pad


def _described(out: Any) -> str:
    if isinstance(out, Tensor):
        return f"one of shape {out.shape}"
    return f"a {type(out).__name__}"
