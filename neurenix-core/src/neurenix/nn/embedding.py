"""A table of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix.nn import functional as F
from neurenix.nn import init
from neurenix.nn.module import Module
from neurenix.nn.parameter import Parameter

if TYPE_CHECKING:
    from neurenix.backends import DeviceLike
    from neurenix.dtypes import DType
    from neurenix.random import Generator
    from neurenix.tensor import Tensor


class Embedding(Module):
    """Looks vectors up by their index: ``out[i] = weight[indices[i]]``.

    The weight begins standard normal.

    Args:
        num_embeddings: The number of vectors.
        embedding_dim: The size of a vector.
        padding_idx: The index of a vector that begins as zeros and gets no gradient.
        device: Where the weight is.
        dtype: What it is.
        generator: What its first values are drawn from; by default Neurenix's own generator.

    Shape:
        Whole numbers ``(*)`` to ``(*, embedding_dim)``.
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        device: DeviceLike | None = None,
        dtype: DType | None = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        init.check_sizes("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(
                    f"padding_idx {padding_idx} is no index of {num_embeddings} embeddings"
                )
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.weight = init.empty_parameter((num_embeddings, embedding_dim), device, dtype)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the vectors anew."""
        init.normal_(self.weight, generator=generator)
        if self.padding_idx is not None:
            init.zeros_(self.weight.detach()[self.padding_idx])

    def forward(self, indices: Tensor) -> Tensor:
        """Look the vectors up."""
        return F.embedding(indices, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """Return the sizes."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
