"""Pooling over windows of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix import ops
from neurenix.errors import ShapeError
from neurenix.nn.conv import Pair, pair
from neurenix.nn.module import Module

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


class MaxPool2d(Module):
    """The largest value of each window.

    Args:
        kernel_size: Height and width of a window, or one number for both.
        stride: The step between windows; by default the windows touch.
        padding: Rows and columns of minus infinity around the image, at most half a window.
        dilation: The step between the elements of a window.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H', W')``, where
        ``H' = (H + 2 padding - dilation (kernel - 1) - 1) // stride + 1``. An image without the
        axis N is taken as well.
    """

    def __init__(
        self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0, dilation: Pair = 1
    ) -> None:
        super().__init__()
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else pair(stride, "stride", 1)
        self.padding = _padding(padding, self.kernel_size)
        self.dilation = pair(dilation, "dilation", 1)

    def forward(self, x: Tensor) -> Tensor:
        """Pool."""
        if x.ndim == 3:
            return self.forward(x.unsqueeze(0)).squeeze(0)
        return ops.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation)

    def extra_repr(self) -> str:
        """Return the settings."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}"
        )


class AvgPool2d(Module):
    """The mean of each window.

    Args:
        kernel_size: Height and width of a window, or one number for both.
        stride: The step between windows; by default the windows touch.
        padding: Rows and columns of zeros around the image, at most half a window.
        count_include_pad: Whether those zeros count in the mean.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, H', W')``, where ``H' = (H + 2 padding - kernel) // stride
        + 1``. An image without the axis N is taken as well.
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        *,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else pair(stride, "stride", 1)
        self.padding = _padding(padding, self.kernel_size)
        self.count_include_pad = count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        """Pool."""
        if x.ndim == 3:
            return self.forward(x.unsqueeze(0)).squeeze(0)
        return ops.avg_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.count_include_pad
        )

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """The mean of as many windows as give the wanted size, whatever the image's.

    Row i of the output averages the rows from ``floor(i H / H')`` to ``ceil((i + 1) H / H')``,
    and columns alike.

    Args:
        output_size: Height and width of the output, or one number for both. 1 is global pooling.

    Shape:
        ``(N, C, H, W)`` to ``(N, C, *output_size)``. An image without the axis N is taken as
        well.
    """

    def __init__(self, output_size: Pair) -> None:
        super().__init__()
        self.output_size = pair(output_size, "output_size", 1)

    def forward(self, x: Tensor) -> Tensor:
        """Pool."""
        if x.ndim == 3:
            return self.forward(x.unsqueeze(0)).squeeze(0)
        return ops.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        """Return the size."""
        return f"output_size={self.output_size}"


def _padding(padding: Pair, kernel_size: tuple[int, int]) -> tuple[int, int]:
    sizes = pair(padding, "padding", 0)
    if any(2 * pad > kernel for pad, kernel in zip(sizes, kernel_size, strict=True)):
        raise ShapeError(
            f"padding is at most half the window, or a window sees nothing but padding; "
            f"got {sizes} for windows of {kernel_size}"
        )
    return sizes
