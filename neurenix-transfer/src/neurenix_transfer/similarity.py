"""How alike the features of two models are."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import numpy as np

import neurenix
from neurenix import Tensor
from neurenix.nn import Module
from neurenix_transfer.hsic import FEWEST, gram, unbiased_hsic
from neurenix_transfer.layer_outputs import get_layer_outputs
from neurenix_transfer.sources import Array

Metric: TypeAlias = Literal["auto", "cka", "cosine"]


def compare_model_features(
    model1: Module,
    model2: Module,
    input_tensor: Any,
    layer_pairs: Iterable[tuple[str, str]],
    *,
    metric: Metric = "auto",
) -> dict[tuple[str, str], float]:
    """Compare what layers of two models give for the same inputs.

    The measure is the debiased linear CKA, clamped at 0: 1 for features that are equal up to
    rotation, scaling and shift, around 0 for independent ones, whatever the numbers of features.
    (The usual, biased CKA is near 1 for any two layers where samples are few.)

    Args:
        model1: The first model.
        model2: The second.
        input_tensor: A batch of what both take. With fewer than four samples the positions of
            feature maps (or tokens) count as samples.
        layer_pairs: Pairs of a layer of the first and a layer of the second model.
        metric: ``"cka"``; ``"cosine"``, the mean cosine of the features of equal width; or
            ``"auto"``: CKA, and with fewer than four samples and no positions the cosine, with a
            warning.

    Returns:
        A similarity from 0 to 1 for each pair.

    Raises:
        UnknownLayerError: A name matches no layer, or several.
        ValueError: There are too few samples for the measure, or the widths differ for cosine.

    Reference:
        Kornblith et al., "Similarity of Neural Network Representations Revisited", 2019; Song et
        al., "Feature Selection via Dependence Maximization", 2012 (the unbiased HSIC).
    """
    if metric not in ("auto", "cka", "cosine"):
        raise ValueError(f'metric is "auto", "cka" or "cosine", not {metric!r}')
    pairs = [(first, second) for first, second in layer_pairs]
    # A layer may stand in several pairs; each model still runs once.
    outputs1 = get_layer_outputs(model1, input_tensor, dict.fromkeys(a for a, _ in pairs))
    outputs2 = get_layer_outputs(model2, input_tensor, dict.fromkeys(b for _, b in pairs))
    return {pair: _compare(pair, outputs1[pair[0]], outputs2[pair[1]], metric) for pair in pairs}


def debiased_linear_cka(x: Array, y: Array) -> float:
    """Return the debiased linear CKA of two sets of features of the same samples, clamped at 0.

    ``HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))`` with ``K = X Xᵀ``, ``L = Y Yᵀ`` and the unbiased
    estimator of HSIC, which is taken over the matrices without their diagonals. It is 0 where one
    of the sets is constant.

    Args:
        x: The first features.
        y: The second.

    Shape:
        ``(N, P)`` and ``(N, Q)``, N at least 4.
    """
    grams = [gram(features) for features in (x, y)]
    cross = unbiased_hsic(*grams)
    own = [unbiased_hsic(each, each) for each in grams]
    if min(own) <= 0.0:
        return 0.0
    return float(min(max(cross / np.sqrt(own[0] * own[1]), 0.0), 1.0))


def _compare(pair: tuple[str, str], first: Any, second: Any, metric: Metric) -> float:
    for name, out in zip(pair, (first, second), strict=True):
        if not isinstance(out, Tensor) or out.ndim < 2:
            raise ValueError(f"the layer {name!r} gives no features: expected a tensor (N, ...)")
    if metric == "cosine":
        return _cosine(pair, _flat(first), _flat(second))
    if first.shape[0] >= FEWEST:
        return debiased_linear_cka(_flat(first), _flat(second))
    x, y = _positions(first, second)
    if len(x) >= FEWEST:
        return debiased_linear_cka(x, y)
    if metric == "cka":
        raise ValueError(
            f"CKA needs at least {FEWEST} samples, and {pair} has {len(x)}; pass a larger batch"
        )
    cosine = _cosine(pair, _flat(first), _flat(second))
    warnings.warn(
        f"{len(x)} samples are too few for CKA, so {pair} is compared by cosine. Pass a batch of "
        f"{FEWEST} or more.",
        stacklevel=4,
    )
    return cosine


def _flat(out: Tensor) -> Array:
    values = out.numpy().astype(np.float64)
    return values.reshape(len(values), -1)


def _positions(first: Tensor, second: Tensor) -> tuple[Array, Array]:
    """Return features with a row a position, where both layers have the same kind of positions."""
    if first.ndim == second.ndim == 4:
        # Maps of different sizes meet at the smaller one.
        size = (min(first.shape[2], second.shape[2]), min(first.shape[3], second.shape[3]))
        maps = [neurenix.adaptive_avg_pool2d(each, size).numpy() for each in (first, second)]
        rows = [each.transpose(0, 2, 3, 1).reshape(-1, each.shape[1]) for each in maps]
        return rows[0].astype(np.float64), rows[1].astype(np.float64)
    if first.ndim == second.ndim == 3 and first.shape[1] == second.shape[1]:
        tokens = [each.numpy().astype(np.float64) for each in (first, second)]
        return tokens[0].reshape(-1, first.shape[2]), tokens[1].reshape(-1, second.shape[2])
    return _flat(first), _flat(second)


def _cosine(pair: tuple[str, str], x: Array, y: Array) -> float:
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"{pair} have {x.shape[1]} and {y.shape[1]} features, which have no cosine; pass a "
            f"batch of {FEWEST} samples or more to compare them by CKA"
        )
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    cosines = (x * y).sum(axis=1) / np.where(norms > 0, norms, 1.0)
    return float(min(max(cosines.mean(), 0.0), 1.0))
