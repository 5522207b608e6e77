"""How far functions of float32 are from the truth, in units in the last place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix

Array = np.ndarray[Any, Any]
_erf = np.vectorize(math.erf)


def _every_size(count: int, low: float, high: float) -> Array:
    """Return numbers of both signs and of every order of magnitude."""
    rng = np.random.default_rng(8)
    sizes = np.exp(rng.uniform(np.log(low), np.log(high), count))
    return (sizes * rng.choice([-1.0, 1.0], count)).astype(np.float32)


def _ulps(ours: Array, exact: Array) -> Array:
    """Return errors in units in the last place of the exact value, rounded to float32."""
    with np.errstate(over="ignore"):
        nearest = exact.astype(np.float32)
    unit = np.spacing(np.abs(nearest)).astype(np.float64)
    errors = np.abs(ours.astype(np.float64) - exact) / unit
    return np.where((ours == nearest) | (np.isnan(ours) & np.isnan(exact)), 0.0, errors)


_FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Array], Array], Array, float]] = {
    "exp": (neurenix.exp, np.exp, _every_size(200_000, 1e-6, 87), 1.5),
    "log": (neurenix.log, np.log, np.abs(_every_size(200_000, 1e-37, 1e38)), 1.5),
    "sqrt": (neurenix.sqrt, np.sqrt, np.abs(_every_size(50_000, 1e-37, 1e38)), 1.0),
    "tanh": (neurenix.tanh, np.tanh, _every_size(200_000, 1e-6, 20), 2.0),
    "erf": (neurenix.erf, _erf, _every_size(100_000, 1e-6, 6), 2.5),
    "sin": (neurenix.sin, np.sin, _every_size(200_000, 1e-3, 8000), 2.0),
    "cos": (neurenix.cos, np.cos, _every_size(200_000, 1e-3, 8000), 2.0),
    "sin of large numbers": (neurenix.sin, np.sin, _every_size(200_000, 8192, 1e37), 3.0),
    "cos of large numbers": (neurenix.cos, np.cos, _every_size(200_000, 8192, 1e37), 3.0),
}


@pytest.mark.parametrize("name", _FUNCTIONS)
def test_functions_are_as_near_as_they_say(name: str) -> None:
    function, exact, x, limit = _FUNCTIONS[name]
    ours = function(neurenix.Tensor(x, device="webgpu")).numpy()
    errors = _ulps(ours, exact(x.astype(np.float64)))
    worst = int(np.argmax(errors))
    assert errors[worst] <= limit, (
        f"{name}({x[worst]!r}) is {ours[worst]!r}: {errors[worst]:.2f} ULP"
    )


def test_powers_are_within_two_units() -> None:
    rng = np.random.default_rng(9)
    x = np.exp(rng.uniform(-20, 20, 200_000)).astype(np.float32)
    y = rng.uniform(-4, 4, x.size).astype(np.float32)
    exact = np.power(x.astype(np.float64), y.astype(np.float64))
    normal = (exact > 1e-37) & (exact < 1e38)
    x, y, exact = x[normal], y[normal], exact[normal]
    ours = (neurenix.Tensor(x, device="webgpu") ** neurenix.Tensor(y, device="webgpu")).numpy()
    errors = _ulps(ours, exact)
    worst = int(np.argmax(errors))
    assert errors[worst] <= 2.0, f"{x[worst]!r} ** {y[worst]!r}: {errors[worst]:.2f} ULP"


def test_remainders_are_exact() -> None:
    x, y = _every_size(100_000, 1e-20, 1e20), _every_size(100_000, 1e-20, 1e20)
    x[:50_000] = y[:50_000] * np.random.default_rng(3).uniform(-50, 50, 50_000).astype(np.float32)
    ours = (neurenix.Tensor(x, device="webgpu") % neurenix.Tensor(y, device="webgpu")).numpy()
    np.testing.assert_array_equal(ours, np.remainder(x, y))


def test_powers_where_they_are_special() -> None:
    special = np.array([0.0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3, np.inf, -np.inf, np.nan], np.float32)
    x, y = (grid.reshape(-1) for grid in np.meshgrid(special, special))
    with np.errstate(all="ignore"):
        wanted = np.power(x, y)
    ours = (neurenix.Tensor(x, device="webgpu") ** neurenix.Tensor(y, device="webgpu")).numpy()
    np.testing.assert_allclose(ours, wanted, rtol=1e-6)
    finite = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(ours[finite]), np.signbit(wanted[finite]))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_floats_are_rounded_to_the_nearest(dtype: str) -> None:
    rng = np.random.default_rng(4)
    x = rng.integers(0, 1 << 32, 300_000, np.uint32).view(np.float32)
    x = x[~np.isnan(x)]
    x[:20] = [0, -0.0, np.inf, -np.inf, 65504, 65519.99, 65520, 2**-24, 2**-25, 2**-25 * 1.0001,
              3 * 2**-25, -(2**-14), 2**-14 - 2**-25, 1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-8,
              1 + 3 * 2**-8, 3.4e38, 1e-40, -1e-45]  # fmt: skip
    there = neurenix.Tensor(x, device="webgpu").astype(dtype)
    with np.errstate(over="ignore"):
        wanted = x.astype(there.dtype)
    assert there.numpy().tobytes() == wanted.tobytes()
    back = there.astype("float32").numpy()
    np.testing.assert_array_equal(back, wanted.astype(np.float32))


def test_integers_of_64_bits() -> None:
    rng = np.random.default_rng(5)
    x = rng.integers(-(2**63), 2**63 - 1, 20_000, np.int64)
    y = rng.integers(-(2**63), 2**63 - 1, 20_000, np.int64) >> rng.integers(0, 63, 20_000)
    x[:4], y[:4] = [-(2**63), 2**63 - 1, -7, 7], [-1, 2, 2, -2]
    a, b = neurenix.Tensor(x, device="webgpu"), neurenix.Tensor(y, device="webgpu")
    y_or_one = np.where(y == 0, 1, y)
    with np.errstate(over="ignore"):
        for ours, wanted in [
            (a + b, x + y),
            (a - b, x - y),
            (a * b, x * y),
            (a // neurenix.Tensor(y_or_one, device="webgpu"), x // y_or_one),
            (a % neurenix.Tensor(y_or_one, device="webgpu"), x % y_or_one),
            (a < b, x < y),
            (neurenix.maximum(a, b), np.maximum(x, y)),
            (a.float(), x.astype(np.float32)),
            (a.sum(), x.sum()),
        ]:
            np.testing.assert_array_equal(ours.numpy(), wanted)
    halves = np.array([2**53 + 1, -(2**53) - 1, 2**62 + 2**38, 2**40 + 2**16 + 1], np.int64)
    np.testing.assert_array_equal(
        neurenix.Tensor(halves, device="webgpu").float().numpy(), halves.astype(np.float32)
    )
