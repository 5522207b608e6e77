"""Attention, and its masks, against core's decomposition on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix as nx

SHAPES = {
    "one head": ((5, 4), (7, 4), (7, 3)),
    "heads": ((2, 3, 65, 16), (2, 3, 80, 16), (2, 3, 80, 24)),
    "shared keys": ((2, 3, 9, 8), (3, 300, 8), (1, 300, 8)),
    "more values than scores": ((6, 8), (9, 8), (4, 2, 9, 5)),
}


def _arrays(shapes: tuple[tuple[int, ...], ...]) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def _check(arrays: list[Any], mask: Any, *, is_causal: bool = False) -> np.ndarray[Any, Any]:
    results = []
    for device in ("webgpu", "cpu"):
        tensors = [nx.Tensor(array, device=device) for array in arrays]
        given = None if mask is None else nx.Tensor(mask, device=device)
        with nx.no_grad():
            out = nx.scaled_dot_product_attention(*tensors, mask=given, is_causal=is_causal)
        results.append(out.numpy())
    np.testing.assert_allclose(results[0], results[1], rtol=2e-5, atol=2e-6)
    return results[0]


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("kind", ["none", "truths", "floats"])
@pytest.mark.parametrize("name", SHAPES)
def test_it_is_what_it_is_on_the_cpu(name: str, kind: str, is_causal: bool) -> None:
    arrays = _arrays(SHAPES[name])
    queries, keys = SHAPES[name][0][-2], SHAPES[name][1][-2]
    random = np.random.default_rng(1).normal(size=(queries, keys)).astype(np.float32)
    mask = {"none": None, "truths": random > 0.0, "floats": random}[kind]
    _check(arrays, mask, is_causal=is_causal)


def test_a_query_that_may_attend_to_nothing_gives_0() -> None:
    arrays = _arrays(SHAPES["one head"])
    mask = np.ones((5, 7), bool)
    mask[2] = False
    found = _check(arrays, mask)
    assert (found[2] == 0.0).all()
    assert (found[[0, 1, 3, 4]] != 0.0).all()


def test_scores_that_floats_push_down_are_no_mask() -> None:
    """All as low as what is masked by truths: then the weights are equal."""
    arrays = _arrays(SHAPES["one head"])
    found = _check(arrays, np.full((5, 7), -1e30, np.float32))
    np.testing.assert_allclose(found, np.broadcast_to(arrays[2].mean(0), (5, 3)), rtol=1e-5)
