"""L2: composite ops give what their decompositions give, by a kernel or without one."""

from __future__ import annotations

import pytest

from neurenix.backends import Device
from neurenix.testing import cases
from neurenix.testing.cases import Case
from neurenix.testing.checks import check_values
from neurenix.testing.conformance.reporter import chosen_ops


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of every call."""
    ops = cases.names("composite", chosen_ops(metafunc.config))
    made = cases.value_cases if metafunc.function is test_values else cases.layout_cases
    metafunc.parametrize("case", list(made(ops)), ids=str)


def test_values(case: Case, device: Device, request: pytest.FixtureRequest) -> None:
    """A composite op gives what its decomposition gives in float64, from dense inputs."""
    check_values(case, device, request)


def test_layouts(case: Case, device: Device, request: pytest.FixtureRequest) -> None:
    """A composite op gives the same from inputs at an offset, with gaps, transposed, repeated."""
    check_values(case, device, request)
