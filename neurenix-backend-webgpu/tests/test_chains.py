"""Chains: elementwise ops that plans carry out in one kernel, with the bits of many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix import nn
from neurenix.backends import resolve
from neurenix.graph import Graph, Node, RecordedPlan, make_executable, trace_function
from neurenix.graph.plan import optimize

pytest.importorskip("neurenix_backend_webgpu._native")

from neurenix_backend_webgpu.chains import fuse_chains

Function = Callable[..., Any]

FLOATS = (nx.float32, nx.float16, nx.bfloat16)
INTS = (nx.int64, nx.int32, nx.int16, nx.int8, nx.uint8)


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with nx.no_grad():
        yield


def _values(shape: tuple[int, ...], dtype: Any = nx.float32, seed: int = 0) -> nx.Tensor:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape) * 3.0
    if dtype in INTS:
        values = rng.integers(0, 9, size=shape)
    return nx.Tensor(values.astype(np.float32), device="cpu").astype(dtype).to("webgpu")


def _bits(tensor: nx.Tensor) -> Any:
    return np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8)


def _chains(executable: Any) -> list[list[str]]:
    nodes = executable.graph.nodes
    return [[s[0] for s in n.attrs["steps"]] for n in nodes if n.op.name == "chain"]


def _check(function: Function, *inputs: nx.Tensor) -> Any:
    """Check that a plan has the bits of the ops, and return it."""
    executable = make_executable(trace_function(function, *inputs))
    assert isinstance(executable, RecordedPlan), repr(executable)
    found, expected = executable.run(list(inputs)), function(*inputs)
    for a, b in zip(found, expected if isinstance(expected, tuple) else (expected,), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_array_equal(_bits(a), _bits(b))
    return executable


def _float_ops(x: nx.Tensor, y: nx.Tensor) -> nx.Tensor:
    z = nx.sqrt(abs(x)) * nx.sigmoid(y) + nx.exp(-abs(x)) / (1.5 + abs(y))
    z = nx.maximum(nx.tanh(z) - 0.1, nx.minimum(nx.erf(y), z)) % 0.7
    z = nx.sin(z) * nx.cos(y) + nx.log(abs(z) + 1e-3) + nx.floor(z) - nx.ceil(x) + nx.round(y)
    z = nx.where((z > 0.0) & (x <= y), nx.relu(z), nx.silu(x) * nx.sign(y))
    return nx.gelu(z) - nx.gelu(y, approximate="tanh") + abs(z) ** 1.5


def _int_ops(x: nx.Tensor, y: nx.Tensor) -> nx.Tensor:
    z = x * y + x // (y + 1) - y % 3
    z = nx.where(nx.logical_not(z == x), nx.maximum(z, y), nx.minimum(x, abs(y)) & 5)
    return (z | 2) ^ (x + y)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_floats_have_the_bits_of_single_ops(dtype: Any) -> None:
    executable = _check(_float_ops, _values((13, 7), dtype), _values((13, 7), dtype, seed=1))
    assert len(_chains(executable)) == len(executable.graph.nodes) == 1


@pytest.mark.parametrize("dtype", INTS, ids=str)
def test_integers_have_the_bits_of_single_ops(dtype: Any) -> None:
    executable = _check(_int_ops, _values((13, 7), dtype), _values((13, 7), dtype, seed=1))
    assert len(_chains(executable)) == len(executable.graph.nodes) == 1


def test_products_and_sums_are_not_joined() -> None:
    """Compilers may make one op of a product and a sum, or take a common factor out."""
    x, y, z = (_values((500, 20), seed=seed) for seed in range(3))
    executable = _check(lambda x, y, z: x * y + x * z - (x + y - x), x, y, z)
    assert len(_chains(executable)) == 1


def test_what_floats_are_not_numbers_goes_through() -> None:
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3e38], np.float32)
    x = nx.Tensor(values, device="webgpu")
    for number in (float("inf"), float("-inf"), float("nan"), -0.0, 2.0):
        _check(lambda x, n=number: nx.maximum((x + n) * 2.0, x) == -x, x)
        _check(lambda x, n=number: -(-x * n), x)


def test_operands_may_be_broadcast_and_lie_anyhow() -> None:
    x, row, column = _values((6, 20)), _values((20,), seed=1), _values((6, 1), seed=2)
    turned = _values((20, 6), seed=3)
    executable = _check(lambda x, r, c, t: (x * r + c) / (2.0 + abs(t.T)), x, row, column, turned)
    assert len(_chains(executable)) == 1


def test_casts_join_dtypes() -> None:
    def function(x: nx.Tensor, n: nx.Tensor) -> nx.Tensor:
        y = (x.astype(nx.float16) * 3.0).float() + n.float()
        return (y > 2.0).astype(nx.int64) + n * 5_000_000_000

    executable = _check(function, _values((9, 5)), _values((9, 5), nx.int64))
    assert len(_chains(executable)) == 1


def test_several_values_are_written_if_others_read_them() -> None:
    def function(x: nx.Tensor, y: nx.Tensor) -> tuple[nx.Tensor, ...]:
        z = x * y
        mask = z > 0.5
        return mask, z + 1.0, nx.where(mask, x, z), (z * 2.0).sum()

    executable = _check(function, _values((9, 5)), _values((9, 5), seed=1))
    (ops,) = _chains(executable)
    assert sorted(ops) == ["add", "gt", "mul", "mul", "where"]


def test_a_chain_does_not_reach_around_what_lies_between() -> None:
    def function(x: nx.Tensor, w: nx.Tensor) -> nx.Tensor:
        y = nx.relu(x) * 2.0
        return (y @ w) * 0.5 + y

    executable = _check(function, _values((8, 8)), _values((8, 8), seed=1))
    assert _chains(executable) == [["relu", "mul"], ["mul", "add"]]


def test_what_is_written_in_between_is_read_before_and_after() -> None:
    def function(x: nx.Tensor, y: nx.Tensor) -> tuple[nx.Tensor, nx.Tensor]:
        before = x * 2.0
        x.copy_(y + 1.0)
        after = x * 3.0
        y.copy_(before - y)
        return before + after, y * 1.0

    def planned(x: nx.Tensor, y: nx.Tensor) -> list[nx.Tensor]:
        return make_executable(trace_function(function, x, y)).run([x, y])

    results = []
    for run in (planned, function):
        x, y = _values((30,)), _values((30,), seed=1)
        results.append([_bits(each) for each in (*run(x, y), x, y)])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)


def _random_function(seed: int) -> Function:
    """Return elementwise ops put together at random, with products of matrices among them."""

    def function(x: nx.Tensor, y: nx.Tensor) -> tuple[nx.Tensor, ...]:
        rng = np.random.default_rng(seed)
        values = [x, y]
        for _ in range(25):
            a, b = (values[-1 - rng.integers(0, min(5, len(values)))] for _ in range(2))
            pick = rng.integers(0, 8)
            if pick == 0:
                values.append(nx.where(a > b, a, b * 0.5))
            elif pick == 1:
                values.append(nx.tanh(a @ b))
            elif pick == 2:
                values.append(a - b.T)
            elif pick == 3:
                values.append(a * 0.25 + b)
            elif pick == 4:
                values.append(nx.sigmoid(a) * b)
            elif pick == 5:
                values.append(a + b.mean(0))
            else:
                values.append(nx.maximum(a, b) - nx.relu(a))
        return tuple(values[-1 - n] for n in rng.integers(0, 10, 3))

    return function


@pytest.mark.parametrize("seed", range(12))
def test_any_graph_has_the_bits_of_its_ops(seed: int) -> None:
    executable = _check(_random_function(seed), _values((9, 9)), _values((9, 9), seed=1))
    assert _chains(executable)


def _buffers(node: Node) -> int:
    return len({value.storage for value in (*node.operands, *node.outputs)})


@pytest.mark.parametrize("most", [3, 4, 8])
def test_chains_end_where_a_shader_binds_no_more_buffers(most: int) -> None:
    def function(*xs: nx.Tensor) -> nx.Tensor:
        total = xs[0]
        for x in xs[1:]:
            total = total * 0.5 + x
        return total

    xs = [_values((4, 5), seed=seed) for seed in range(12)]
    graph = optimize(trace_function(function, *xs))
    fused = fuse_chains(graph, most)
    assert all(_buffers(node) <= most for node in fused.nodes)
    # Each reads what the one before has written, and writes something itself.
    assert len(fused.nodes) == -(-11 // (most - 2))
    assert isinstance(fused, Graph)


def _truth_and_sum(x: nx.Tensor, y: nx.Tensor) -> tuple[nx.Tensor, nx.Tensor]:
    z = x * y
    return z > 0.1, nx.relu(z) + y


def test_tensors_larger_than_a_binding_are_cut() -> None:
    device: Any = resolve("webgpu").backend.device(0)
    x, y = _values((300, 70)), _values((300, 1), seed=1)
    device.set_binding_limit(20_000)
    try:
        executable = _check(_truth_and_sum, x, y)
    finally:
        device.set_binding_limit(None)
    assert len(_chains(executable)) == 1
    assert executable._recording.count > 1


def test_a_gradient_is_chained_too() -> None:
    module = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 2)).to("webgpu")

    def step(x: nx.Tensor) -> tuple[nx.Tensor | None, ...]:
        with nx.enable_grad():
            module.zero_grad()
            (module(x) ** 2.0).mean().backward()
        return tuple(parameter.grad for parameter in module.parameters())

    executable = _check(step, _values((5, 6)))
    assert max(map(len, _chains(executable))) > 5
    assert "chain of" in executable.describe()
