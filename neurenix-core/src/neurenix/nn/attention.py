"""Attention in several heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix import ops
from neurenix.dtypes import bool_
from neurenix.errors import ShapeError
from neurenix.nn import functional as F
from neurenix.nn import init
from neurenix.nn.dropout import check_probability
from neurenix.nn.linear import Linear
from neurenix.nn.module import Module
from neurenix.nn.parameter import Parameter

if TYPE_CHECKING:
    from neurenix.backends import DeviceLike
    from neurenix.dtypes import DType
    from neurenix.random import Generator
    from neurenix.tensor import Tensor


class MultiheadAttention(Module):
    """Attention in several heads, ``softmax(q k^T / sqrt(d)) v``, between linear projections.

    Query, key and value are projected by one matrix ``in_proj_weight``, of shape
    (3 * embed_dim, embed_dim), which begins Xavier-uniform; the biases begin as zeros.

    Args:
        embed_dim: The features E.
        num_heads: The number of heads, which divides E.
        dropout: The probability with which an attention weight is dropped in training mode.
        bias: Whether the projections have biases.
        batch_first: Whether the batch is the first axis; by default it is the second.
        device: Where the parameters are.
        dtype: What they are.
        generator: What their first values are drawn from; by default Neurenix's own generator.

    Shape:
        Query ``(N, T, E)``, key and value ``(N, S, E)`` with ``batch_first``, else ``(T, N, E)``
        and ``(S, N, E)``; without a batch ``(T, E)`` and ``(S, E)``. The result is shaped as the
        query.

    Raises:
        ShapeError: Sizes that do not fit together.

    Reference:
        Vaswani et al., "Attention Is All You Need", 2017.
    """

    in_proj_weight: Parameter
    in_proj_bias: Parameter | None
    out_proj: Linear

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        batch_first: bool = False,
        device: DeviceLike | None = None,
        dtype: DType | None = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        init.check_sizes("MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads)
        if embed_dim % num_heads:
            raise ShapeError(
                f"embed_dim must be divisible by num_heads: {embed_dim} by {num_heads}"
            )
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout = check_probability(dropout)
        self.batch_first = batch_first
        self.generator = generator
        self.in_proj_weight = init.empty_parameter((3 * embed_dim, embed_dim), device, dtype)
        if bias:
            self.in_proj_bias = init.empty_parameter((3 * embed_dim,), device, dtype)
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype, generator=generator)
        self._reset(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the parameters anew."""
        self.out_proj.reset_parameters(generator)
        self._reset(generator)

    def _reset(self, generator: Generator | None) -> None:
        init.xavier_uniform_(self.in_proj_weight, generator=generator)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            query: What asks.
            key: What is compared with it.
            value: What is averaged.
            key_padding_mask: ``(N, S)``: True where a key is ignored, or added to the scores.
            need_weights: Whether the weights are returned too; without, it is faster.
            attn_mask: ``(T, S)`` or ``(N * num_heads, T, S)``: True where a query may not
                attend to a key, or added to the scores.
            average_attn_weights: Whether the weights returned are the mean over the heads.
            is_causal: Whether position t sees no position after t; no ``attn_mask`` is needed.

        Returns:
            The result, and the weights ``(N, T, S)``, ``(N, num_heads, T, S)``, or None.
        """
        batched = query.ndim == 3
        if not batched:
            query, key, value = (x.unsqueeze(0) for x in (query, key, value))
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            same = key is query and value is query
            query = query.transpose(0, 1)
            key = query if same else key.transpose(0, 1)
            value = query if same else value.transpose(0, 1)
        self._check(query, key, value)
        q, k, v = self._project(query, key, value)
        out, weights = F.multi_head_attention(
            q,
            k,
            v,
            self.num_heads,
            mask=self._mask(q, k, attn_mask, key_padding_mask),
            is_causal=is_causal and attn_mask is None,
            dropout_p=self.dropout if self.dropout and self.training else 0.0,
            generator=self.generator,
            need_weights=need_weights,
        )
        out = self.out_proj(out)
        if weights is not None and average_attn_weights:
            weights = weights.mean(axis=1)
        if not batched:
            return out.squeeze(0), None if weights is None else weights.squeeze(0)
        return out if self.batch_first else out.transpose(0, 1), weights

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if key is query and value is query:  # one product instead of three
            joint = ops.linear(query, self.in_proj_weight, self.in_proj_bias)
            q, k, v = ops.chunk(joint, 3, axis=-1)
            return q, k, v
        weights = ops.chunk(self.in_proj_weight, 3, axis=0)
        bias = self.in_proj_bias
        biases = (None,) * 3 if bias is None else ops.chunk(bias, 3, axis=0)
        q, k, v = (
            ops.linear(x, w, b)
            for x, w, b in zip((query, key, value), weights, biases, strict=True)
        )
        return q, k, v

    def _mask(
        self, q: Tensor, k: Tensor, attn_mask: Tensor | None, padding_mask: Tensor | None
    ) -> Tensor | None:
        """Return both masks as one: True where one may attend, or what is added."""
        batch, length, source = q.shape[0], q.shape[1], k.shape[1]
        masks = []
        if attn_mask is not None:
            if attn_mask.ndim == 2:
                _check_mask("attn_mask", attn_mask, (length, source))
                masks.append(attn_mask)
            else:
                _check_mask("attn_mask", attn_mask, (batch * self.num_heads, length, source))
                masks.append(attn_mask.reshape((batch, self.num_heads, length, source)))
        if padding_mask is not None:
            _check_mask("key_padding_mask", padding_mask, (batch, source))
            masks.append(padding_mask.reshape((batch, 1, 1, source)))
        if not masks:
            return None
        if all(mask.dtype == bool_ for mask in masks):
            forbidden = masks[0] if len(masks) == 1 else ops.bitwise_or(masks[0], masks[1])
            return ops.logical_not(forbidden)
        added = [
            ops.where(mask, float("-inf"), 0.0).astype(q.dtype) if mask.dtype == bool_ else mask
            for mask in masks
        ]
        return added[0] if len(added) == 1 else added[0] + added[1]

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        shapes = (query.shape, key.shape, value.shape)
        if (
            any(len(shape) != 3 or shape[2] != self.embed_dim for shape in shapes)
            or key.shape != value.shape
            or key.shape[0] != query.shape[0]
        ):
            raise ShapeError(
                f"MultiheadAttention({self.embed_dim}) takes a query (N, T, {self.embed_dim}) and "
                f"a key and value (N, S, {self.embed_dim}); got, batch first, "
                f"{shapes[0]}, {shapes[1]} and {shapes[2]}"
            )

    def extra_repr(self) -> str:
        """Return the sizes, and what differs from the defaults."""
        text = f"{self.embed_dim}, {self.num_heads}"
        if self.dropout:
            text += f", dropout={self.dropout}"
        return f"{text}, batch_first=True" if self.batch_first else text


def _check_mask(name: str, mask: Tensor, shape: tuple[int, ...]) -> None:
    if mask.shape != shape:
        raise ShapeError(f"{name} has the shape {shape} here; got {mask.shape}")
