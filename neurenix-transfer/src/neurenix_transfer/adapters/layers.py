"""The layers that an adapter makes of a Linear and of a Conv2d."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import neurenix
from neurenix import Generator, Tensor
from neurenix.autograd import no_grad
from neurenix.nn import Conv2d, Linear, Module, Parameter, init
from neurenix.nn import functional as F

ADAPTER_PARAMETERS = ("lora_A", "lora_B", "lora_magnitude")


@dataclass(frozen=True)
class AdapterSpec:
    """How an adapter is built.

    Attributes:
        rank: The number of directions that a weight may change in.
        alpha: The change is scaled by ``alpha / rank``.
        dora: Whether the size of each output's weights is trained separately (DoRA).
        dropout: The probability that an input of the change is dropped in training.
    """

    rank: int = 8
    alpha: float = 16.0
    dora: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if type(self.rank) is not int or self.rank < 1:
            raise ValueError(f"rank is a whole number of at least 1, not {self.rank!r}")
        if not self.alpha > 0.0:
            raise ValueError(f"alpha is greater than 0, not {self.alpha!r}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is at least 0 and less than 1, not {self.dropout!r}")

    @property
    def scaling(self) -> float:
        """What the change is multiplied by."""
        return self.alpha / self.rank


class Adapted(Module):
    """What adapted layers have in common.

    With the frozen weight W and the scaling s, the layer computes with

        W + s B A                               (LoRA)
        m (W + s B A) / |W + s B A|             (DoRA; m and the norm are one number an output)

    B begins at zero and m at ``|W|``, so that nothing changes at first. The change is computed on
    the inputs, ``s B (A x)``, which needs no matrix of the size of W in training. As in DoRA's
    paper, no gradient flows through the norm.

    A layer becomes an adapted one in place and back: it stays the same object, under the same
    name, with the same weight and bias, hooks and mode.

    Attributes:
        adapter: How the adapter is built.
        lora_A: A: what the input is projected onto.
        lora_B: B: where the projections go.
        lora_magnitude: m; None for LoRA.

    Reference:
        Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021; Liu et al., "DoRA:
        Weight-Decomposed Low-Rank Adaptation", 2024, section 4.3 on the norm's gradient.
    """

    weight: Parameter
    bias: Parameter | None
    adapter: AdapterSpec
    lora_A: Parameter
    lora_B: Parameter
    lora_magnitude: Parameter | None
    plain_class: type[Module]

    channel_shape: ClassVar[tuple[int, ...]]
    """The shape in which one number an output meets the layer's outputs."""

    def forward(self, x: Tensor) -> Tensor:
        """Compute the plain layer's output, and add what the adapter changes about it."""
        out = self.plain(x)
        change = self.low_rank(self._dropped(x), self.lora_B * self.adapter.scaling)
        if self.lora_magnitude is None:
            return out + change
        # Not `ratio * (out + change)`: the bias is not scaled, and a layer that was not trained
        # yet gives the plain layer's output to the last bit, as its ratio is 1.
        ratio = self._ratio().reshape(self.channel_shape)
        unbiased = out if self.bias is None else out - self.bias.reshape(self.channel_shape)
        return out + ((ratio - 1.0) * unbiased + ratio * change)

    def plain(self, x: Tensor) -> Tensor:
        """Compute what the layer gives without its adapter."""
        raise NotImplementedError

    def low_rank(self, x: Tensor, up: Tensor) -> Tensor:
        """Compute ``up (A x)``."""
        raise NotImplementedError

    @property
    def groups_of_outputs(self) -> int:
        """Into how many parts inputs and outputs are split."""
        return 1

    def delta_weight(self) -> Tensor:
        """Return ``s B A`` in the shape of the weight."""
        groups, rank = self.groups_of_outputs, self.adapter.rank
        down = self.lora_A.reshape((groups, rank, -1))
        up = (self.lora_B * self.adapter.scaling).reshape((groups, -1, rank))
        return neurenix.matmul(up, down).reshape(self.weight.shape)

    def merged_weight(self) -> Tensor:
        """Return the weight of the plain layer that computes the same."""
        weight = self.weight + self.delta_weight()
        if self.lora_magnitude is None:
            return weight
        return weight * self._ratio().reshape((-1,) + (1,) * (weight.ndim - 1))

    def _ratio(self) -> Tensor:
        """Return m over the norm of each output's weights, 0 where those are all 0."""
        assert self.lora_magnitude is not None
        with no_grad():
            norm = self._norm()
            norm = neurenix.where(norm > 0.0, norm, 1.0)
        return self.lora_magnitude / norm

    def _norm(self) -> Tensor:
        weight = self.weight + self.delta_weight()
        squares = weight * weight
        return squares.sum(axis=tuple(range(1, weight.ndim))).sqrt()

    def _dropped(self, x: Tensor) -> Tensor:
        p = self.adapter.dropout
        return F.dropout(x, p) if p and self.training else x

    def extra_repr(self) -> str:
        """Return the plain layer's sizes, and the adapter's."""
        spec = self.adapter
        text = f"{super().extra_repr()}, rank={spec.rank}, alpha={spec.alpha:g}"
        if spec.dropout:
            text += f", dropout={spec.dropout}"
        return f"{text}, dora=True" if spec.dora else text


class LoRALinear(Adapted, Linear):
    """A Linear with an adapter.

    Shape:
        As of a Linear. A is ``(rank, in_features)``, B ``(out_features, rank)``.
    """

    channel_shape = (-1,)

    def plain(self, x: Tensor) -> Tensor:
        """Compute what the layer gives without its adapter."""
        return Linear.forward(self, x)

    def low_rank(self, x: Tensor, up: Tensor) -> Tensor:
        """Compute ``up (A x)``."""
        return neurenix.linear(neurenix.linear(x, self.lora_A), up)


class LoRAConv2d(Adapted, Conv2d):
    """A Conv2d with an adapter: A is a convolution to ``rank`` channels, B one of 1 x 1.

    Shape:
        As of a Conv2d. A is ``(groups * rank, in_channels / groups, kernel height and width)``,
        B ``(out_channels, rank, 1, 1)``.
    """

    channel_shape = (-1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with the adapted weight."""
        if x.ndim == 3:  # one image
            return self.forward(x.unsqueeze(0)).squeeze(0)
        return super().forward(x)

    def plain(self, x: Tensor) -> Tensor:
        """Compute what the layer gives without its adapter."""
        return Conv2d.forward(self, x)

    def low_rank(self, x: Tensor, up: Tensor) -> Tensor:
        """Compute ``up (A x)``."""
        inner = neurenix.conv2d(
            x,
            self.lora_A,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )
        return neurenix.conv2d(inner, up, groups=self.groups)

    @property
    def groups_of_outputs(self) -> int:
        """Into how many parts inputs and outputs are split."""
        return self.groups


AdaptedLayer: TypeAlias = LoRALinear | LoRAConv2d


def adapter_shapes(layer: Linear | Conv2d, spec: AdapterSpec) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the parameters of a layer's adapter, by name."""
    rank = spec.rank
    if isinstance(layer, Linear):
        outputs = layer.out_features
        shapes: dict[str, tuple[int, ...]] = {
            "lora_A": (rank, layer.in_features),
            "lora_B": (outputs, rank),
        }
    else:
        outputs = layer.out_channels
        inputs = layer.in_channels // layer.groups
        shapes = {
            "lora_A": (layer.groups * rank, inputs, *layer.kernel_size),
            "lora_B": (outputs, rank, 1, 1),
        }
    return shapes | {"lora_magnitude": (outputs,)} if spec.dora else shapes


def adapt(layer: Linear | Conv2d, spec: AdapterSpec, generator: Generator) -> AdaptedLayer:
    """Give a layer an adapter, in place.

    A begins as a new layer's weight does, uniform in ``(-1/sqrt(fan_in), 1/sqrt(fan_in))``.

    Args:
        layer: A Linear or a Conv2d, with that class's own forward.
        spec: How the adapter is built.
        generator: What A is drawn from.

    Returns:
        The same object.
    """
    shapes = adapter_shapes(layer, spec)
    plain_class = type(layer)
    if isinstance(layer, Linear):
        layer.__class__ = LoRALinear
    else:
        layer.__class__ = LoRAConv2d
    assert isinstance(layer, LoRALinear | LoRAConv2d)
    layer.plain_class = plain_class
    layer.adapter = spec
    device, dtype = layer.weight.device, layer.weight.dtype
    layer.lora_A = init.empty_parameter(shapes["lora_A"], device, dtype)
    init.default_uniform_(layer.lora_A, None, generator)
    layer.lora_B = Parameter(neurenix.zeros(shapes["lora_B"], dtype=dtype, device=device))
    if spec.dora:
        with no_grad():
            layer.lora_magnitude = Parameter(layer._norm())
    else:
        layer.register_parameter("lora_magnitude", None)
    return layer


def restore(layer: AdaptedLayer) -> Module:
    """Take the adapter off a layer, in place; its weight stays as it is."""
    plain_class = layer.plain_class
    for name in (*ADAPTER_PARAMETERS, "adapter", "plain_class"):
        delattr(layer, name)
    layer.__class__ = plain_class  # type: ignore[assignment]
    return layer
