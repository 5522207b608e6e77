"""Embedding and MultiheadAttention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.errors import ShapeError

RNG = np.random.default_rng(9)


def draw(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def test_embedding_looks_up() -> None:
    layer = nn.Embedding(5, 3)
    indices = np.array([[0, 4], [2, 2]])
    out = layer(Tensor(indices))
    np.testing.assert_array_equal(out.detach().numpy(), layer.weight.detach().numpy()[indices])
    out.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy()[:, 0], [1, 0, 2, 0, 1])
    weight = nn.Embedding(200, 100).weight.detach().numpy()
    assert weight.mean() == pytest.approx(0, abs=0.03)
    assert weight.std() == pytest.approx(1, abs=0.03)


def test_padding_has_no_gradient() -> None:
    layer = nn.Embedding(4, 2, padding_idx=-1)
    assert layer.padding_idx == 3
    assert layer.weight.detach().numpy()[3].tolist() == [0.0, 0.0]
    assert layer.weight.detach().numpy()[:3].all()
    layer(Tensor([3, 1, 3])).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy()[:, 0], [0, 1, 0, 0])
    assert repr(layer) == "Embedding(4, 2, padding_idx=3)"
    with pytest.raises(ValueError, match="padding_idx 4 is no index of 4 embeddings"):
        nn.Embedding(4, 2, padding_idx=4)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def reference(
    layer: nn.MultiheadAttention,
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    added: np.ndarray | float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Attention of batch-first inputs in float64; ``added`` broadcasts to (N, heads, T, S)."""
    features, heads = layer.embed_dim, layer.num_heads
    weights = np.split(layer.in_proj_weight.detach().numpy().astype(np.float64), 3)
    biases: Any = [0.0] * 3
    if layer.in_proj_bias is not None:
        biases = np.split(layer.in_proj_bias.detach().numpy(), 3)
    q, k, v = (
        (x @ w.T + b).reshape(x.shape[0], x.shape[1], heads, features // heads).swapaxes(1, 2)
        for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )
    scores = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(features // heads) + added)
    joined = (scores @ v).swapaxes(1, 2).reshape(query.shape)
    out = joined @ layer.out_proj.weight.detach().numpy().T
    if layer.out_proj.bias is not None:
        out = out + layer.out_proj.bias.detach().numpy()
    return out, scores


def attention(**options: Any) -> nn.MultiheadAttention:
    layer = nn.MultiheadAttention(6, 3, batch_first=True, **options)
    with neurenix.no_grad():
        for param in layer.parameters():
            param.copy_(Tensor(draw(*param.shape)))
    return layer


def check(layer: nn.MultiheadAttention, inputs: Any, added: Any, **options: Any) -> None:
    expected, scores = reference(layer, *inputs, added)
    tensors = [Tensor(x) for x in inputs]
    out, weights = layer(*tensors, need_weights=False, **options)
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    assert weights is None
    out, weights = layer(*tensors, **options)
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(weights.detach().numpy(), scores.mean(1), rtol=1e-4, atol=1e-5)
    _, weights = layer(*tensors, average_attn_weights=False, **options)
    np.testing.assert_allclose(weights.detach().numpy(), scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_attention(bias: bool) -> None:
    check(attention(bias=bias), (draw(2, 4, 6), draw(2, 5, 6), draw(2, 5, 6)), 0.0)


def test_self_attention_is_one_product() -> None:
    layer = attention()
    x = draw(2, 4, 6)
    tensor = Tensor(x)
    out, _ = layer(tensor, tensor, tensor)
    np.testing.assert_allclose(
        out.detach().numpy(), reference(layer, x, x, x)[0], rtol=1e-4, atol=1e-5
    )


def test_masks() -> None:
    layer = attention()
    inputs = (draw(2, 4, 6), draw(2, 4, 6), draw(2, 4, 6))
    causal = np.triu(np.full((4, 4), -np.inf), 1)
    check(layer, inputs, causal, is_causal=True)
    check(layer, inputs, causal, attn_mask=Tensor(np.isinf(causal)))
    check(layer, inputs, causal, attn_mask=Tensor(causal.astype(np.float32)))
    padding = np.array([[False, False, True, False], [False, True, True, True]])
    added = np.where(padding, -np.inf, 0.0)[:, None, None, :]
    check(layer, inputs, added, key_padding_mask=Tensor(padding))
    check(
        layer,
        inputs,
        added + causal,
        key_padding_mask=Tensor(padding),
        attn_mask=Tensor(np.isinf(causal)),
    )
    bias = draw(6, 4, 4)
    check(
        layer,
        inputs,
        added + bias.reshape(2, 3, 4, 4),
        key_padding_mask=Tensor(padding),
        attn_mask=Tensor(bias),
    )


def test_layouts_agree() -> None:
    layer = attention()
    x = Tensor(draw(2, 4, 6))
    expected, weights = layer(x, x, x)
    layer.batch_first = False
    swapped = x.transpose(0, 1)
    out, same = layer(swapped, swapped, swapped)
    np.testing.assert_allclose(
        out.detach().numpy(), expected.detach().numpy().swapaxes(0, 1), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(same.detach().numpy(), weights.detach().numpy(), rtol=1e-5)
    single, one = layer(x[0], x[0], x[0])
    np.testing.assert_allclose(
        single.detach().numpy(), expected.detach().numpy()[0], rtol=1e-5, atol=1e-6
    )
    assert one.shape == (4, 4)


def test_names_and_first_values() -> None:
    layer = nn.MultiheadAttention(8, 2)
    assert list(layer.state_dict()) == [
        "in_proj_weight",
        "in_proj_bias",
        "out_proj.weight",
        "out_proj.bias",
    ]
    assert not layer.in_proj_bias.detach().numpy().any()
    assert not layer.out_proj.bias.detach().numpy().any()
    assert np.abs(layer.in_proj_weight.detach().numpy()).max() <= np.sqrt(6 / 32)


def test_weights_drop_in_training_mode_only() -> None:
    layer = attention(dropout=0.5)
    x = Tensor(draw(2, 4, 6))
    _, weights = layer(x, x, x, average_attn_weights=False)
    assert (weights.detach().numpy() == 0).any()
    layer.eval()
    _, weights = layer(x, x, x)
    np.testing.assert_allclose(weights.detach().numpy().sum(-1), 1, rtol=1e-5)
    assert repr(layer).startswith("MultiheadAttention(\n  6, 3, dropout=0.5, batch_first=True\n")


def test_attention_checks_shapes() -> None:
    with pytest.raises(ShapeError, match="embed_dim must be divisible by num_heads: 6 by 4"):
        nn.MultiheadAttention(6, 4)
    layer = attention()
    x = Tensor(draw(2, 4, 6))
    with pytest.raises(ShapeError, match=r"takes a query \(N, T, 6\)"):
        layer(x, x, Tensor(draw(2, 5, 6)))
    with pytest.raises(ShapeError, match=r"key_padding_mask has the shape \(2, 4\) here"):
        layer(x, x, x, key_padding_mask=Tensor(np.zeros((4, 2), dtype=bool)))
