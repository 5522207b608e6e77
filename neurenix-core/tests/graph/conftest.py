"""What the tests of graphs share: the comparison of a plan with eager execution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor
from neurenix.graph import Plan, trace, trace_function
from neurenix.graph.structure import flatten


def _assert_same(found: Any, expected: Any, rtol: float = 2e-5) -> None:
    """Compare nested results: the structure exactly, values to float32 rounding."""
    ours, our_nesting = flatten(found, (Tensor,), "results")
    theirs, their_nesting = flatten(expected, (Tensor,), "results")
    assert our_nesting == their_nesting
    for a, b in zip(ours, theirs, strict=True):
        assert (a.shape, a.dtype, a.device) == (b.shape, b.dtype, b.device)
        scale = np.abs(np.nan_to_num(b.numpy().astype(np.float64))).max(initial=0.0)
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=rtol, atol=rtol * max(scale, 1e-6))


@pytest.fixture
def assert_same() -> Callable[..., None]:
    """Return a function that compares nested results, values to float32 rounding."""
    return _assert_same


@pytest.fixture
def compare() -> Callable[..., Plan]:
    """Return a function that traces, plans, runs twice and compares with eager execution."""

    def run(function: Any, *inputs: Any, rtol: float = 2e-5) -> Plan:
        is_module = hasattr(function, "named_parameters")
        graph = (trace if is_module else trace_function)(function, *inputs).validate()
        plan = Plan(graph)
        plan.graph.validate()
        assert str(plan.graph)
        for _ in range(2):
            with neurenix.no_grad():
                expected = function(*inputs)
            _assert_same(plan(*inputs), expected, rtol)
        return plan

    return run
