from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import ops

TOLERANCES = {"float32": 2e-7, "float64": 3e-16, "float16": 1e-3, "bfloat16": 8e-3}


def reference(x: np.ndarray[Any, Any], approximate: str) -> np.ndarray[Any, Any]:
    """In float64, by the complementary error function, which loses nothing where x is low."""
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return np.array([0.5 * value * math.erfc(-value / math.sqrt(2)) for value in x])


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_error_relative_to_the_larger_of_x_and_1(dtype: str, approximate: str) -> None:
    x = np.linspace(-12, 12, 100_001)  # more than a block of the kernel
    tensor = neurenix.Tensor(x).astype(getattr(neurenix, dtype))
    exact = tensor.numpy().astype(np.float64)
    out = ops.gelu(tensor, approximate=approximate).numpy().astype(np.float64)
    error = np.abs(out - reference(exact, approximate)) / np.maximum(1, np.abs(exact))
    assert error.max() <= TOLERANCES[dtype]


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_far_out_it_is_x_or_0_and_nan_stays(approximate: str) -> None:
    x = neurenix.Tensor([0.0, 1e3, 1e30, -1e3, -1e30, np.inf, np.nan])
    out = ops.gelu(x, approximate=approximate).numpy()
    np.testing.assert_array_equal(out, np.array([0, 1e3, 1e30, 0, 0, np.inf, np.nan], np.float32))


def test_strided_inputs_and_empty_ones() -> None:
    x = neurenix.randn((6, 5), generator=neurenix.Generator(0))
    np.testing.assert_array_equal(ops.gelu(ops.transpose(x, 0, 1)).numpy(), ops.gelu(x).numpy().T)
    assert ops.gelu(neurenix.zeros((0, 3))).shape == (0, 3)
