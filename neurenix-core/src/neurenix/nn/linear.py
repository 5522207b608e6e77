"""The fully connected layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix import ops
from neurenix.nn import init
from neurenix.nn.module import Module
from neurenix.nn.parameter import Parameter

if TYPE_CHECKING:
    from neurenix.backends import DeviceLike
    from neurenix.dtypes import DType
    from neurenix.random import Generator
    from neurenix.tensor import Tensor


class Linear(Module):
    """An affine map of the last axis: ``y = x W^T + b``.

    The weight and the bias begin uniform in ``(-1/sqrt(in_features), 1/sqrt(in_features))``.

    Args:
        in_features: The size of the last axis of the input.
        out_features: The size of the last axis of the output.
        bias: Whether there is a bias.
        device: Where the parameters are.
        dtype: What they are.
        generator: What their first values are drawn from; by default Neurenix's own generator.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: DeviceLike | None = None,
        dtype: DType | None = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        init.check_sizes("Linear", in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        self.weight = init.empty_parameter((out_features, in_features), device, dtype)
        if bias:
            self.bias = init.empty_parameter((out_features,), device, dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the parameters anew."""
        init.default_uniform_(self.weight, self.bias, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the map."""
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
