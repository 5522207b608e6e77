"""Normalisation: over the batch, over a sample's last axes, over groups of channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from neurenix import ops
from neurenix.autograd import no_grad
from neurenix.dtypes import float32, int32, int64
from neurenix.errors import ShapeError
from neurenix.nn import init
from neurenix.nn.module import Module
from neurenix.nn.parameter import Parameter
from neurenix.ops.creation import empty, zeros
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from neurenix.backends import DeviceLike
    from neurenix.dtypes import DType


class BatchNorm(Module):
    """Normalisation of each channel over the batch; see `BatchNorm1d` and `BatchNorm2d`."""

    keeps_batch_statistics = True
    # Checkpoints written before PyTorch 0.4.1, and by some exporters today, lack the count.
    optional_state = frozenset({"num_batches_tracked"})
    _ndims: ClassVar[tuple[int, ...]]

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: DeviceLike | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        init.check_sizes(type(self).__name__, num_features=num_features)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        shape = (num_features,)
        for name in ("weight", "bias"):
            param = init.empty_parameter(shape, device, dtype) if affine else None
            self.register_parameter(name, param)
        if track_running_stats:
            for name in ("running_mean", "running_var"):
                buffer = empty(shape, float32 if dtype is None else dtype, device)
                self.register_buffer(name, buffer)
            self.register_buffer("num_batches_tracked", zeros((), int64, device))
        else:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(name, None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the statistics: mean 0, variance 1, no batch seen."""
        if self.running_mean is None or self.running_var is None:
            return
        with no_grad():
            self.running_mean.zero_()
            self.running_var.fill_(1.0)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Reset the statistics, the scale to 1 and the shift to 0."""
        self.reset_running_stats()
        if self.weight is not None and self.bias is not None:
            init.ones_(self.weight)
            init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise with the batch's statistics in training mode, else with the running ones."""
        if x.ndim not in self._ndims or x.shape[1] != self.num_features:
            axes = " or ".join(f"{n}-D" for n in self._ndims)
            raise ShapeError(
                f"{type(self).__name__}({self.num_features}) takes a {axes} input with "
                f"{self.num_features} channels on axis 1; got shape {x.shape}"
            )
        training = self.training
        count = self.num_batches_tracked if training else None
        out = ops.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=training,
            momentum=self._share_of_batch(count),
            eps=self.eps,
        )
        if count is not None:
            with no_grad():
                # Counted in int32: not every device adds in int64.
                count.copy_(count.astype(int32) + 1)
        return out

    def _share_of_batch(self, count: Tensor | None) -> float:
        """Return the weight of the batch's statistics in the running ones."""
        if self.momentum is not None:
            return self.momentum
        # The average over all batches; the only case that reads a value back from the device.
        return 0.0 if count is None else 1.0 / (int(count.item()) + 1)

    def extra_repr(self) -> str:
        """Return the sizes and settings."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(BatchNorm):
    """Normalisation of each feature over the batch, and over the length if there is one.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``. In training mode mean and variance are
    the batch's, and the running statistics move towards them: ``running = (1 - momentum) *
    running + momentum * batch``, with the variance divided by one less than the number of
    values. In eval mode the running statistics are used.

    Args:
        num_features: The channels C.
        eps: Added to the variance.
        momentum: How far the running statistics move; None averages over all batches.
        affine: Whether there are a weight and a bias.
        track_running_stats: Whether there are running statistics; without, the batch's own are
            used in eval mode too.
        device: Where the parameters and buffers are.
        dtype: What they are.

    Shape:
        ``(N, C)`` or ``(N, C, L)``, unchanged.

    Raises:
        ShapeError: The input does not fit, or a batch to take statistics of has one value a
            channel.

    Reference:
        Ioffe and Szegedy, "Batch Normalization", 2015.
    """

    _ndims = (2, 3)


class BatchNorm2d(BatchNorm):
    """Normalisation of each channel over a batch of images.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``, the statistics taken over N, H and W;
    see `BatchNorm1d` for the running ones.

    Args:
        num_features: The channels C.
        eps: Added to the variance.
        momentum: How far the running statistics move; None averages over all batches.
        affine: Whether there are a weight and a bias.
        track_running_stats: Whether there are running statistics; without, the batch's own are
            used in eval mode too.
        device: Where the parameters and buffers are.
        dtype: What they are.

    Shape:
        ``(N, C, H, W)``, unchanged.

    Raises:
        ShapeError: The input does not fit, or a batch to take statistics of has one value a
            channel.

    Reference:
        Ioffe and Szegedy, "Batch Normalization", 2015.
    """

    _ndims = (4,)


class LayerNorm(Module):
    """Normalisation of each sample over its last axes.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``, mean and variance over the axes of
    ``normalized_shape``.

    Args:
        normalized_shape: The sizes of the last axes, or one number for the last alone.
        eps: Added to the variance.
        elementwise_affine: Whether there is a weight, and with ``bias`` a bias.
        bias: Whether there is a bias.
        device: Where the parameters are.
        dtype: What they are.

    Shape:
        ``(*, *normalized_shape)``, unchanged.

    Reference:
        Ba, Kiros and Hinton, "Layer Normalization", 2016.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: DeviceLike | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        sizes = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape = tuple(sizes)
        for size in self.normalized_shape:
            init.check_sizes("LayerNorm", normalized_shape=size)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, wanted in (("weight", True), ("bias", bias)):
            there = elementwise_affine and wanted
            param = init.empty_parameter(self.normalized_shape, device, dtype) if there else None
            self.register_parameter(name, param)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reset the scale to 1 and the shift to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        return ops.layer_norm(x, self.normalized_shape, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """Return the sizes and settings."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(Module):
    """Normalisation of each sample over groups of its channels.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``, mean and variance over the channels of
    a group and all positions; weight and bias are per channel.

    Args:
        num_groups: Into how many groups the channels are split.
        num_channels: The channels C.
        eps: Added to the variance.
        affine: Whether there are a weight and a bias.
        device: Where the parameters are.
        dtype: What they are.

    Shape:
        ``(N, C, *)``, unchanged.

    Raises:
        ShapeError: The channels cannot be split into that many groups.

    Reference:
        Wu and He, "Group Normalization", 2018.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: DeviceLike | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        init.check_sizes("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ShapeError(
                f"num_channels must be divisible by num_groups: {num_channels} by {num_groups}"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name in ("weight", "bias"):
            param = init.empty_parameter((num_channels,), device, dtype) if affine else None
            self.register_parameter(name, param)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reset the scale to 1 and the shift to 0."""
        if self.weight is not None and self.bias is not None:
            init.ones_(self.weight)
            init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        return ops.group_norm(x, self.num_groups, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """Return the sizes and settings."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
