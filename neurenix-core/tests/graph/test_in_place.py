"""Writes in place, views and donated buffers: a plan does what eager execution does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor
from neurenix.graph import Plan, trace_function


def _write_row(x: Tensor) -> Tensor:
    y = x * 2
    y[1] = 7.0
    return y


def _read_before_and_after(x: Tensor) -> tuple[Tensor, ...]:
    y = x + 1
    row = y[0]
    before = row * 1.0
    y[0] = x[1]
    return before, row * 1.0, y.sum(), y


def _write_through_views(x: Tensor) -> tuple[Tensor, ...]:
    y = x.clone()
    z = y.T[1:]
    z[0] = 3.0
    y.reshape((-1,))[0] = -1.0
    return y, z


def _overlapping_copy(x: Tensor) -> Tensor:
    y = x.clone()
    y[1:] = y[:-1] * 1.0
    return y


def _index_put(x: Tensor) -> Tensor:
    y = neurenix.zeros_like(x)
    y[Tensor([2, 0])] = x[:2]
    return y


def _empty_is_filled(x: Tensor) -> Tensor:
    y = neurenix.empty(x.shape)
    y[...] = x
    y.fill_(2.0)
    y.copy_(x * y)
    return y


def _strided_place(x: Tensor) -> Tensor:
    y = x.clone()
    y[::2, 1::2] = 0.0
    return y * x


def _pads(x: Tensor) -> Tensor:
    return neurenix.pad(x, ((1, 2), (0, 1)), 5.0)


def _returns_views(x: Tensor) -> tuple[Tensor, ...]:
    y = x + 1
    return y.T, y[1], y, x[0], x.T


@pytest.mark.parametrize(
    "function",
    [
        _write_row,
        _read_before_and_after,
        _write_through_views,
        _overlapping_copy,
        _index_put,
        _empty_is_filled,
        _strided_place,
        _pads,
        _returns_views,
    ],
)
def test_writes_to_own_memory(function: Callable[..., Any], compare: Callable[..., Plan]) -> None:
    compare(function, neurenix.randn((3, 4)))


def test_results_share_memory_as_in_eager_execution() -> None:
    plan = Plan(trace_function(_returns_views, neurenix.zeros((3, 4))))
    x = neurenix.zeros((3, 4))
    transposed, row, whole, x_row, _ = plan(x)
    with neurenix.no_grad():
        whole[1] = 5.0
        x_row.fill_(3.0)
    assert row.tolist() == [5.0] * 4
    assert transposed[:, 1].tolist() == [5.0] * 4
    assert x[0].tolist() == [3.0] * 4


def test_a_returned_buffer_is_never_reused() -> None:
    plan = Plan(trace_function(lambda x: (x * 2 + 1).relu() * 3, neurenix.zeros((4,))))
    first = plan(neurenix.ones((4,)))
    kept = first.numpy().copy()
    second = plan(neurenix.full((4,), 9.0))
    np.testing.assert_array_equal(first.numpy(), kept)
    assert not np.array_equal(second.numpy(), kept)
    with neurenix.no_grad():
        first.fill_(0.0)
    np.testing.assert_array_equal(plan(neurenix.ones((4,))).numpy(), kept)


def test_a_constant_result_is_the_callers_own() -> None:
    plan = Plan(trace_function(lambda x: (x, neurenix.arange(4) * 2), neurenix.zeros((4,))))
    _, steps = plan(neurenix.zeros((4,)))
    steps.fill_(-1)
    assert plan(neurenix.zeros((4,)))[1].tolist() == [0, 2, 4, 6]


def test_writes_to_inputs_reach_the_caller(assert_same: Callable[..., None]) -> None:
    def function(x: Tensor, y: Tensor) -> Tensor:
        x.copy_(x * 2)
        x[0] = y
        return x.sum()

    graph = trace_function(function, neurenix.zeros((2, 3)), neurenix.zeros((3,))).validate()
    assert not graph.is_pure
    plan = Plan(graph)
    for transposed in (False, True):
        base = neurenix.randn((3, 2)) if transposed else neurenix.randn((2, 3))
        twin = base.clone()
        ours, theirs = (base.T, twin.T) if transposed else (base, twin)
        y = neurenix.randn((3,))
        assert_same(plan(ours, y), function(theirs, y))
        np.testing.assert_array_equal(base.numpy(), twin.numpy())


def test_inputs_may_be_views(assert_same: Callable[..., None]) -> None:
    plan = Plan(trace_function(lambda x: x.T @ x + x[1], neurenix.zeros((3, 3))))
    base = neurenix.randn((4, 3, 3))
    for x in (base[2], base[1].T, base[:, 1, 1].reshape((4, 1)).expand((4, 9))[0].reshape((3, 3))):
        assert_same(plan(x), x.T @ x + x[1])


def test_writes_to_captured_tensors_happen_in_each_run() -> None:
    count = neurenix.zeros((2,))
    half = count[1:]

    def function(x: Tensor) -> Tensor:
        count.copy_(count + x)
        return half * 10.0

    plan = Plan(trace_function(function, neurenix.zeros((2,))).validate())
    assert count.tolist() == [0.0, 0.0]
    version = count._version.value if count._version else 0
    assert plan(Tensor([1.0, 2.0])).tolist() == [20.0]
    assert plan(Tensor([1.0, 2.0])).tolist() == [40.0]
    assert count.tolist() == [2.0, 4.0]
    assert count._version is not None
    assert count._version.value == version + 2


def test_a_captured_tensor_that_was_written_has_no_values_in_the_trace() -> None:
    count = neurenix.zeros(())

    def function(x: Tensor) -> Tensor:
        count.copy_(count + 1)
        return x * count.item()

    with pytest.raises(neurenix.errors.TraceError, match="no values"):
        trace_function(function, neurenix.zeros((2,)))
    assert count.item() == 0.0


def test_a_returned_captured_tensor_is_itself() -> None:
    state = neurenix.randn((3,))

    def function(x: Tensor) -> tuple[Tensor, Tensor]:
        state.copy_(x)
        return state, state[1:]

    plan = Plan(trace_function(function, neurenix.zeros((3,))).validate())
    whole, tail = plan(Tensor([1.0, 2.0, 3.0]))
    assert whole is state
    assert tail.tolist() == [2.0, 3.0]
    state.fill_(0.0)
    assert tail.tolist() == [0.0, 0.0]
