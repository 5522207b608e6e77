"""Convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from neurenix import ops
from neurenix.errors import ShapeError
from neurenix.nn import init
from neurenix.nn.module import Module
from neurenix.nn.parameter import Parameter

if TYPE_CHECKING:
    from neurenix.backends import DeviceLike
    from neurenix.dtypes import DType
    from neurenix.random import Generator
    from neurenix.tensor import Tensor

Pair: TypeAlias = int | tuple[int, int]


class Conv2d(Module):
    """A two-dimensional convolution (cross-correlation) of images.

    ``out[n, k] = bias[k] + sum_c weight[k, c] * x[n, c]``, ``*`` sliding the kernel over height
    and width. Weight and bias begin uniform in ``(-1/sqrt(fan_in), 1/sqrt(fan_in))``, where
    ``fan_in = in_channels / groups * kernel height * kernel width``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the kernel, or one number for both.
        stride: The step between windows.
        padding: Zeros around the image on each side; ``"valid"`` is none, ``"same"`` as many as
            keep the size, for a stride of 1.
        dilation: The step between the taps of a kernel.
        groups: Into how many parts the channels are split, each convolved by itself.
        bias: Whether there is a bias.
        device: Where the parameters are.
        dtype: What they are.
        generator: What their first values are drawn from; by default Neurenix's own generator.

    Shape:
        ``(N, in_channels, H, W)`` to ``(N, out_channels, H', W')``, where
        ``H' = (H + 2 padding - dilation (kernel - 1) - 1) // stride + 1``. An image without
        the axis N is taken as well.

    Raises:
        ShapeError: Sizes that do not fit together.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair | Literal["same", "valid"] = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        device: DeviceLike | None = None,
        dtype: DType | None = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        init.check_sizes(
            "Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups
        )
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ShapeError(f"{name} must be divisible by groups: {channels} by {groups}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = pair(stride, "stride", 1)
        self.dilation = pair(dilation, "dilation", 1)
        self.groups = groups
        self.padding: tuple[int, int] | Literal["same", "valid"]
        if not isinstance(padding, str):
            self.padding = pair(padding, "padding", 0)
        elif padding not in ("same", "valid"):
            raise ShapeError(f"padding is a number, a pair, 'same' or 'valid', not {padding!r}")
        elif padding == "same" and self.stride != (1, 1):
            raise ShapeError(f"padding='same' needs a stride of 1, not {self.stride}")
        else:
            self.padding = padding
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = init.empty_parameter(shape, device, dtype)
        if bias:
            self.bias = init.empty_parameter((out_channels,), device, dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the parameters anew."""
        init.default_uniform_(self.weight, self.bias, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        if x.ndim == 3:
            return self.forward(x.unsqueeze(0)).squeeze(0)
        return ops.conv2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def extra_repr(self) -> str:
        """Return the sizes, and what differs from the defaults."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        if self.padding not in ((0, 0), "valid"):
            text += f", padding={self.padding!r}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else f"{text}, bias=False"


def pair(value: Any, name: str, least: int) -> tuple[int, int]:
    """Return a number or a pair as a pair, after checking it.

    Raises:
        ShapeError: It is neither, or smaller than ``least``.
    """
    numbers = (value, value) if isinstance(value, int) else tuple(value)
    if len(numbers) != 2 or not all(isinstance(n, int) and n >= least for n in numbers):
        raise ShapeError(
            f"{name} is a whole number of at least {least}, or a pair of them; got {value!r}"
        )
    return numbers[0], numbers[1]
