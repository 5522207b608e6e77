"""Linear and Conv2d against their formulas, their first values and their checks."""

from __future__ import annotations

import math

import numpy as np
import pytest

import neurenix
from neurenix import Generator, Tensor, nn
from neurenix.errors import ShapeError


def test_linear_is_an_affine_map() -> None:
    layer = nn.Linear(3, 2)
    x = np.random.default_rng(0).standard_normal((4, 5, 3)).astype(np.float32)
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    out = layer(Tensor(x))
    np.testing.assert_allclose(out.detach().numpy(), x @ weight.T + bias, rtol=1e-5, atol=1e-6)
    without = nn.Linear(3, 2, bias=False)
    assert without.bias is None
    assert [name for name, _ in without.named_parameters()] == ["weight"]
    assert repr(without) == "Linear(in_features=3, out_features=2, bias=False)"


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Linear(50, 400), 50),
        (nn.Conv2d(8, 60, (3, 5), groups=2), 4 * 15),
    ],
)
def test_first_values_are_uniform_within_the_bound(layer: nn.Module, fan_in: int) -> None:
    bound = 1 / math.sqrt(fan_in)
    for param in layer.parameters():
        values = param.detach().numpy()
        assert np.abs(values).max() < bound
    weight = layer.weight.detach().numpy()
    assert np.abs(weight).max() > 0.95 * bound
    assert abs(weight.mean()) < 0.05 * bound
    assert weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.03)


def test_first_values_come_from_the_generator() -> None:
    first = nn.Linear(4, 4, generator=Generator(7))
    again = nn.Linear(4, 4, generator=Generator(7))
    other = nn.Linear(4, 4, generator=Generator(8))
    np.testing.assert_array_equal(first.weight.detach().numpy(), again.weight.detach().numpy())
    assert (first.weight.detach().numpy() != other.weight.detach().numpy()).any()
    neurenix.manual_seed(3)
    default = nn.Conv2d(1, 2, 3)
    neurenix.manual_seed(3)
    same = nn.Conv2d(1, 2, 3)
    np.testing.assert_array_equal(default.weight.detach().numpy(), same.weight.detach().numpy())
    before = same.weight.detach().numpy().copy()
    same.reset_parameters()
    assert (before != same.weight.detach().numpy()).any()


def reference_conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    stride: tuple[int, int],
    padding: tuple[tuple[int, int], tuple[int, int]],
    dilation: tuple[int, int],
    groups: int,
) -> np.ndarray:
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), *padding))
    count, _, height, width = x.shape
    out_channels, in_group, kernel_h, kernel_w = weight.shape
    rows = (height - dilation[0] * (kernel_h - 1) - 1) // stride[0] + 1
    columns = (width - dilation[1] * (kernel_w - 1) - 1) // stride[1] + 1
    out = np.zeros((count, out_channels, rows, columns))
    for k in range(out_channels):
        first = k // (out_channels // groups) * in_group
        for i in range(rows):
            for j in range(columns):
                top, left = i * stride[0], j * stride[1]
                window = x[
                    :,
                    first : first + in_group,
                    top : top + dilation[0] * (kernel_h - 1) + 1 : dilation[0],
                    left : left + dilation[1] * (kernel_w - 1) + 1 : dilation[1],
                ]
                out[:, k, i, j] = (window * weight[k]).sum(axis=(1, 2, 3))
    return out if bias is None else out + bias[:, None, None]


@pytest.mark.parametrize(
    ("options", "padding"),
    [
        ({}, ((0, 0), (0, 0))),
        ({"stride": 2, "padding": 1}, ((1, 1), (1, 1))),
        ({"padding": (2, 0), "dilation": (2, 1)}, ((2, 2), (0, 0))),
        ({"padding": "valid", "bias": False}, ((0, 0), (0, 0))),
        ({"padding": "same"}, ((1, 1), (0, 1))),
        ({"groups": 2, "stride": (1, 2)}, ((0, 0), (0, 0))),
    ],
)
def test_conv2d(options: dict[str, object], padding: tuple[tuple[int, int], ...]) -> None:
    layer = nn.Conv2d(4, 6, (3, 2), **options)  # type: ignore[arg-type]
    x = np.random.default_rng(1).standard_normal((2, 4, 7, 8)).astype(np.float32)
    bias = None if layer.bias is None else layer.bias.detach().numpy()
    expected = reference_conv2d(
        x,
        layer.weight.detach().numpy(),
        bias,
        layer.stride,
        padding,  # type: ignore[arg-type]
        layer.dilation,
        layer.groups,
    )
    out = layer(Tensor(x))
    assert out.shape == expected.shape
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    single = layer(Tensor(x[1]))
    np.testing.assert_allclose(single.detach().numpy(), expected[1], rtol=1e-4, atol=1e-5)


def test_conv2d_describes_itself() -> None:
    assert repr(nn.Conv2d(3, 8, 3)) == "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))"
    layer = nn.Conv2d(4, 8, 3, 2, padding="valid", dilation=2, groups=4, bias=False)
    assert repr(layer) == (
        "Conv2d(4, 8, kernel_size=(3, 3), stride=(2, 2), dilation=(2, 2), groups=4, bias=False)"
    )
    assert "padding='same'" in repr(nn.Conv2d(1, 1, 3, padding="same"))
    assert "padding=(1, 0)" in repr(nn.Conv2d(1, 1, 3, padding=(1, 0)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 1), "in_channels is a whole number of at least 1; got 0"),
        ((3, 4, 1, 1, 0, 1, 2), "in_channels must be divisible by groups: 3 by 2"),
        ((1, 1, 0), "kernel_size is a whole number of at least 1"),
        ((1, 1, (1, 2, 3)), "or a pair of them; got .1, 2, 3."),
        ((1, 1, 3, 2, "same"), "padding='same' needs a stride of 1"),
        ((1, 1, 3, 1, "full"), "'same' or 'valid', not 'full'"),
        ((1, 1, 3, 1, -1), "padding is a whole number of at least 0"),
    ],
)
def test_conv2d_checks_its_arguments(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        nn.Conv2d(*arguments)  # type: ignore[arg-type]


def test_linear_checks_its_arguments() -> None:
    with pytest.raises(ShapeError, match=r"Linear: out_features is a whole number.*got 2\.5"):
        nn.Linear(2, 2.5)  # type: ignore[arg-type]


def test_dtype_and_device() -> None:
    layer = nn.Linear(2, 2, dtype=neurenix.float64, device="cpu")
    assert layer.weight.dtype == neurenix.float64
    assert layer(neurenix.ones((1, 2), dtype=neurenix.float64)).dtype == neurenix.float64
    assert nn.Conv2d(1, 1, 1, dtype=neurenix.float16).bias.dtype == neurenix.float16
