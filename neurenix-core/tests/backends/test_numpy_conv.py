"""The convolution kernels against loops over every output element."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from neurenix.backends.numpy.conv import conv2d, conv2d_grad_input, conv2d_grad_weight

CASES: list[dict[str, Any]] = [
    {},
    {"size": (7, 5), "kernel": (3, 3), "padding": ((1, 1), (1, 1))},
    {"kernel": (1, 1), "padding": ((0, 0), (0, 0))},
    {"kernel": (1, 1), "stride": (2, 2)},
    {"kernel": (1, 1), "padding": ((1, 2), (0, 1))},
    {"kernel": (1, 1), "stride": (3, 1), "padding": ((2, 0), (1, 1))},
    {"kernel": (3, 2), "stride": (2, 3), "padding": ((1, 0), (0, 2))},
    {"kernel": (7, 7), "stride": (2, 2), "padding": ((3, 3), (3, 3)), "size": (13, 12)},
    {"kernel": (2, 2), "stride": (3, 3), "size": (9, 11)},  # steps over pixels
    {"kernel": (3, 3), "dilation": (2, 3), "padding": ((2, 2), (3, 3))},
    {"kernel": (3, 3), "dilation": (3, 2), "stride": (2, 2), "padding": ((0, 4), (5, 1))},
    {"kernel": (2, 3), "padding": ((3, 3), (4, 5)), "size": (3, 2)},  # more padding than image
    {"kernel": (3, 3), "padding": ((1, 1), (0, 2))},  # right padding alone
    {"kernel": (3, 3), "padding": ((1, 1), (2, 0))},
    {"groups": 2, "kernel": (3, 3), "padding": ((1, 1), (1, 1))},
    {"groups": 4, "kernel": (3, 2), "stride": (2, 1), "features": 4},  # depthwise
    {"groups": 2, "kernel": (1, 1), "stride": (2, 2)},
    {"batch": 0},
    {"batch": 5, "size": (4, 4), "kernel": (4, 4)},  # one output a channel
    {"size": (40, 39), "kernel": (3, 3), "padding": ((1, 1), (1, 1)), "batch": 2},
]
IDS = [" ".join(f"{k}={v}".replace(" ", "") for k, v in case.items()) or "plain" for case in CASES]


def naive(x: np.ndarray, w: np.ndarray, out: np.ndarray, p: dict[str, Any], visit: Any) -> None:
    """Call ``visit(n, o, c, y, z, i, j, c_in_group, ki, kj)`` for each product of the sum."""
    (sh, sw), (dh, dw), ((top, _), (left, _)) = p["stride"], p["dilation"], p["padding"]
    per_group_out, per_group_in = w.shape[0] // p["groups"], w.shape[1]
    for n, o, y, z in itertools.product(*map(range, out.shape)):
        for c, i, j in itertools.product(*map(range, w.shape[1:])):
            row, column = y * sh + i * dh - top, z * sw + j * dw - left
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                channel = o // per_group_out * per_group_in + c
                visit((n, o, y, z), (n, channel, row, column), (o, c, i, j))


def make(case: dict[str, Any]) -> tuple[Any, ...]:
    p = {
        "stride": case.get("stride", (1, 1)),
        "padding": case.get("padding", ((0, 0), (0, 0))),
        "dilation": case.get("dilation", (1, 1)),
        "groups": case.get("groups", 1),
    }
    kernel, size = case.get("kernel", (3, 3)), case.get("size", (6, 8))
    channels, features = 4, case.get("features", 6)
    rng = np.random.default_rng(3)
    x = rng.standard_normal((case.get("batch", 2), channels, *size))
    w = rng.standard_normal((features, channels // p["groups"], *kernel))
    out_size = [
        (size[a] + sum(p["padding"][a]) - p["dilation"][a] * (kernel[a] - 1) - 1) // p["stride"][a]
        + 1
        for a in (0, 1)
    ]
    out = np.zeros((x.shape[0], features, *out_size))
    return x, w, rng.standard_normal(features), out, rng.standard_normal(out.shape), p


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_conv2d_and_gradients(case: dict[str, Any]) -> None:
    x, w, bias, expected, grad, p = make(case)
    expected_dx, expected_dw = np.zeros_like(x), np.zeros_like(w)
    small = x.size * w.size < 2e6
    if small:

        def visit(at_out: Any, at_x: Any, at_w: Any) -> None:
            expected[at_out] += x[at_x] * w[at_w]
            expected_dx[at_x] += grad[at_out] * w[at_w]
            expected_dw[at_w] += grad[at_out] * x[at_x]

        naive(x, w, expected, p, visit)
    else:  # 3 x 3 with padding 1: sum of nine shifted products
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        padded_dx = np.zeros_like(padded)
        for i, j in itertools.product(range(3), range(3)):
            at = np.s_[:, :, i : i + x.shape[2], j : j + x.shape[3]]
            expected += np.einsum("nchw,oc->nohw", padded[at], w[:, :, i, j])
            expected_dw[:, :, i, j] = np.einsum("nchw,nohw->oc", padded[at], grad)
            padded_dx[at] += np.einsum("nohw,oc->nchw", grad, w[:, :, i, j])
        expected_dx = padded_dx[:, :, 1:-1, 1:-1]
    out, dx, dw = (np.full_like(a, np.nan) for a in (expected, x, w))
    conv2d(out, x, w, bias, **p)
    np.testing.assert_allclose(out, expected + bias[:, None, None], rtol=1e-12, atol=1e-12)
    conv2d(out, x, w, None, **p)
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)
    conv2d_grad_input(dx, grad, w, input_shape=x.shape, **p)
    np.testing.assert_allclose(dx, expected_dx, rtol=1e-12, atol=1e-12)
    conv2d_grad_weight(dw, grad, x, weight_shape=w.shape, **p)
    np.testing.assert_allclose(dw, expected_dw, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_16_bit_floats_compute_in_float32(dtype: Any) -> None:
    x, w, bias, out, grad, p = make({"padding": ((1, 1), (1, 1))})
    narrow = [a.astype(dtype) for a in (x, w, bias, grad)]
    wide = [a.astype(np.float32) for a in narrow]
    for kernel, inputs, attrs, shape in [
        (conv2d, (0, 1, 2), {}, out.shape),
        (conv2d_grad_input, (3, 1), {"input_shape": x.shape}, x.shape),
        (conv2d_grad_weight, (3, 0), {"weight_shape": w.shape}, w.shape),
    ]:
        got, exact = np.empty(shape, dtype), np.empty(shape, np.float32)
        kernel(got, *(narrow[i] for i in inputs), **attrs, **p)
        kernel(exact, *(wide[i] for i in inputs), **attrs, **p)
        np.testing.assert_array_equal(got, exact.astype(dtype))


def test_a_samples_bits_do_not_depend_on_the_batch() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 16, 14, 14), dtype=np.float32)
    w = rng.standard_normal((32, 16, 3, 3), dtype=np.float32)
    p = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    together = np.empty((5, 32, 14, 14), np.float32)
    conv2d(together, x, w, None, **p)
    for n in range(5):
        alone = np.empty((1, 32, 14, 14), np.float32)
        conv2d(alone, x[n : n + 1], w, None, **p)
        np.testing.assert_array_equal(alone[0], together[n])
    dx = np.empty_like(x)
    conv2d_grad_input(dx, together, w, input_shape=x.shape, **p)
    first = np.empty_like(x[:1])
    conv2d_grad_input(first, together[:1], w, input_shape=first.shape, **p)
    np.testing.assert_array_equal(first, dx[:1])
