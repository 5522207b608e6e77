"""Ops that do the work of several in one kernel. The graph passes put them where they fit.

They have no gradient rules: what is differentiated is the ops that they stand for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.ops.activation import relu
from neurenix.ops.conv import conv2d
from neurenix.ops.op import OPS, TensorMeta, composite
from neurenix.ops.pool import max_pool2d
from neurenix.ops.windows import Padding, Pair

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


def _conv2d_fused_meta(
    x: Any,
    weight: Any,
    bias: Any,
    residual: Any,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
    activation: str,
) -> TensorMeta:
    meta: TensorMeta = OPS["conv2d"].meta(
        x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    return meta


conv2d_fused = composite(
    "conv2d_fused",
    meta=_conv2d_fused_meta,
    doc="""Return activation(conv2d(x, weight, bias) + residual).

    ``bias`` and ``residual`` may be left out; a residual has the result's shape and dtype.
    ``activation`` is "none" or "relu".""",
)


@conv2d_fused.decompose
def _(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    residual: Tensor | None,
    *,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
    activation: str,
) -> Tensor:
    out = conv2d(x, weight, bias, stride, padding, dilation, groups)
    if residual is not None:
        out = out + residual
    return relu(out) if activation == "relu" else out


def _max_pool2d_values_meta(
    x: Any, *, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> TensorMeta:
    values: TensorMeta = OPS["max_pool2d"].meta(
        x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation
    )[0]
    return values


max_pool2d_values = composite(
    "max_pool2d_values",
    meta=_max_pool2d_values_meta,
    doc="Return the values of max_pool2d without their places, which only its gradient needs.",
)


@max_pool2d_values.decompose
def _(x: Tensor, *, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Tensor:
    return max_pool2d(x, kernel_size, stride, padding, dilation)
