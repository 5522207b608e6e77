"""The fused kernels against the ops that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor
from neurenix.ops.fused import conv2d_fused, max_pool2d_values
from neurenix.ops.op import OPS

CONVOLUTIONS = {
    "3x3": ((2, 3, 6, 5), (4, 3, 3, 3), {"padding": ((1, 1), (1, 1))}),
    "1x1": ((3, 4, 5, 5), (2, 4, 1, 1), {}),
    "stride": ((2, 3, 7, 8), (4, 3, 3, 3), {"stride": (2, 3), "padding": ((1, 0), (2, 1))}),
    "dilated groups": ((2, 4, 9, 9), (6, 2, 3, 3), {"dilation": (2, 1), "groups": 2}),
    "empty batch": ((0, 3, 6, 5), (4, 3, 3, 3), {}),
    "many blocks": ((9, 8, 48, 48), (32, 8, 1, 1), {}),
}


@pytest.mark.parametrize("activation", ["none", "relu"])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("with_residual", [False, True])
@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("dtype", [neurenix.float32, neurenix.bfloat16])
def test_conv2d_fused(
    name: str, with_residual: bool, with_bias: bool, activation: str, dtype: Any
) -> None:
    x_shape, weight_shape, given = CONVOLUTIONS[name]
    attrs: dict[str, Any] = {
        "stride": (1, 1),
        "padding": ((0, 0), (0, 0)),
        "dilation": (1, 1),
        "groups": 1,
        **given,
    }
    x, weight = neurenix.randn(x_shape).astype(dtype), neurenix.randn(weight_shape).astype(dtype)
    bias = neurenix.randn(weight_shape[:1]).astype(dtype) if with_bias else None
    shape = OPS["conv2d"].meta(x, weight, bias, **attrs).shape
    residual = neurenix.randn(shape).astype(dtype) if with_residual else None
    found = conv2d_fused(x, weight, bias, residual, **attrs, activation=activation)
    assert conv2d_fused.decomposition is not None
    expected = conv2d_fused.decomposition(x, weight, bias, residual, **attrs, activation=activation)
    rtol = 1e-5 if dtype == neurenix.float32 else 2e-2
    np.testing.assert_allclose(
        found.float().numpy(), expected.float().numpy(), rtol=rtol, atol=rtol * 10
    )


def test_the_activation_keeps_nan() -> None:
    x = Tensor([[[[float("nan"), -1.0]]]])
    weight = neurenix.ones((1, 1, 1, 1))
    attrs = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    found = conv2d_fused(x, weight, None, None, **attrs, activation="relu").numpy()
    np.testing.assert_array_equal(found, [[[[np.nan, 0.0]]]])


@pytest.mark.parametrize("dtype", [neurenix.float32, neurenix.float16, neurenix.int32])
@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding", "dilation"),
    [
        ((2, 3, 8, 8), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
        ((2, 3, 9, 7), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
        ((1, 2, 9, 9), (3, 2), (1, 3), ((1, 0), (0, 1)), (2, 1)),
        ((3, 70, 40, 40), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
        ((0, 2, 4, 4), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    ],
)
def test_max_pool2d_values(
    shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, dtype: Any
) -> None:
    x = (neurenix.randn(shape) * 10).astype(dtype)
    attrs = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    found = max_pool2d_values(x, **attrs)
    expected = OPS["max_pool2d"].all(x, **attrs)[0]
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_max_pool2d_values_keeps_nan() -> None:
    x = neurenix.arange(16, dtype=neurenix.float32).reshape((1, 1, 4, 4)).clone()
    x[0, 0, 0, 1] = float("nan")
    attrs = {
        "kernel_size": (2, 2),
        "stride": (2, 2),
        "padding": ((0, 0), (0, 0)),
        "dilation": (1, 1),
    }
    found = max_pool2d_values(x, **attrs).numpy()
    np.testing.assert_array_equal(found, [[[[np.nan, 7.0], [13.0, 15.0]]]])
