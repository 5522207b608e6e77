"""The kernel beside its decomposition, which the gradient checks cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, ops
from neurenix.backends.registry import host_device
from neurenix.ops.op import OPS

ATTENTION = OPS["scaled_dot_product_attention"]
T, S, E, V = 5, 7, 4, 3


def draw(*shape: int, seed: int = 0) -> Tensor:
    return neurenix.randn(shape, generator=neurenix.Generator(seed))


def both(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, is_causal: bool = False
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """What the kernel gives and what the decomposition gives."""
    kernel = host_device().kernels[
        (ATTENTION, *(None if x is None else x.dtype for x in (q, k, v, mask)))
    ]
    assert kernel is not None
    out = ops.scaled_dot_product_attention(q, k, v, mask, is_causal).numpy()
    assert ATTENTION.decomposition is not None
    attrs = {"is_causal": is_causal, "scale": q.shape[-1] ** -0.5}
    expected: Tensor = ATTENTION.decomposition(q, k, v, mask, **attrs)
    return out, expected.numpy()


MASKS = {
    "none": None,
    "keys of each sample": Tensor(np.arange(S) < np.array([3, 7]).reshape(2, 1, 1, 1)),
    "pairs": Tensor(np.random.default_rng(0).random((T, S)) > 0.4),
    "a row": Tensor(np.arange(S) % 2 == 0),
    "added": draw(T, S, seed=9),
    "added to each sample": draw(2, 1, T, S, seed=8),
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("is_causal", [False, True])
def test_it_agrees_with_its_decomposition(name: str, is_causal: bool) -> None:
    q, k, v = draw(2, 3, T, E), draw(2, 3, S, E, seed=1), draw(2, 3, S, V, seed=2)
    out, expected = both(q, k, v, MASKS[name], is_causal)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


def test_leading_axes_broadcast_and_may_be_absent() -> None:
    q, k, v = draw(2, 3, T, E), draw(S, E, seed=1), draw(1, S, V, seed=2)
    np.testing.assert_allclose(*both(q, k, v), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(*both(q[0, 0], k, v[0], MASKS["pairs"]), rtol=1e-5, atol=1e-6)


def test_many_samples_are_taken_in_blocks() -> None:
    q, k, v = draw(40, 2, 64, 4), draw(40, 2, 64, 4, seed=1), draw(40, 2, 64, 4, seed=2)
    mask = Tensor(np.arange(64) <= np.arange(40).reshape(40, 1, 1, 1))
    np.testing.assert_allclose(*both(q, k, v, mask), rtol=1e-5, atol=1e-6)


def test_strided_inputs() -> None:
    heads = [draw(2, T, 3, E, seed=seed).transpose(1, 2) for seed in range(3)]
    dense = [Tensor(x.numpy().copy()) for x in heads]
    np.testing.assert_allclose(both(*heads)[0], both(*dense)[0], rtol=1e-6, atol=1e-7)


def test_a_query_that_may_attend_to_nothing_gives_zeros() -> None:
    mask = Tensor(np.array([[True] * S, [False] * S] * 2 + [[True] * S]))
    out, expected = both(draw(2, T, E), draw(2, S, E, seed=1), draw(2, S, V, seed=2), mask)
    assert not out[:, 1].any()
    assert out[:, 0].all()
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
    out, _ = both(draw(T, E), neurenix.zeros((0, E)), neurenix.zeros((0, V)))
    assert out.shape == (T, V)
    assert not out.any()


def test_what_is_masked_has_no_weight_at_all() -> None:
    q, k, v = draw(1, T, E), draw(1, S, E, seed=1), draw(1, S, V, seed=2)
    mask = Tensor(np.arange(S) < 4)
    wild = Tensor(np.where(np.arange(S)[:, None] < 4, v.numpy()[0], 1e30)[None])
    np.testing.assert_array_equal(both(q, k, wild, mask)[0], both(q, k, v, mask)[0])


def test_large_scores_do_not_overflow() -> None:
    q, k, v = draw(1, T, E) * 1e4, draw(1, S, E, seed=1) * 1e4, draw(1, S, V, seed=2)
    out, expected = both(q, k, v)
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-13), ("float16", 2e-3), ("bfloat16", 2e-2)]
)
def test_other_dtypes(dtype: str, tolerance: float) -> None:
    tensors = [draw(2, 3, S, E, seed=seed) for seed in range(3)]
    exact = ops.scaled_dot_product_attention(*(x.astype(neurenix.float64) for x in tensors))
    narrow = [x.astype(getattr(neurenix, dtype)) for x in tensors]
    out = ops.scaled_dot_product_attention(*narrow)
    assert out.dtype == getattr(neurenix, dtype)
    np.testing.assert_allclose(
        out.numpy().astype(np.float64), exact.numpy(), rtol=tolerance, atol=tolerance
    )
