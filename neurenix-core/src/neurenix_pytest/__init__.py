"""The options of Neurenix's conformance kit for pytest; they are all that this module brings.

pytest loads it in every run wherever neurenix-core is installed. So it stands outside of the
package `neurenix`, which is imported only when the kit itself is collected.
"""

from __future__ import annotations

from typing import Any


def pytest_addoption(parser: Any) -> None:
    """Add the options of the kit."""
    group = parser.getgroup("neurenix", "Neurenix: conformance of a backend")
    group.addoption(
        "--neurenix-device",
        metavar="DEVICE",
        help="the device to test, such as 'npu' or 'cpu@neurenix-core' (default: the default one)",
    )
    group.addoption(
        "--neurenix-overrides",
        metavar="FILE",
        help="a TOML file with the ids of tests that are expected to fail, and the reasons",
    )
    group.addoption(
        "--neurenix-report",
        metavar="FILE",
        help="write what was found, and how quick each op is beside NumPy, as JSON",
    )
    group.addoption(
        "--neurenix-ops",
        metavar="OPS",
        help="test these ops only, separated by commas, at the levels that go op by op",
    )


def pytest_configure(config: Any) -> None:
    """Refuse a report that several processes would each write a part of."""
    if config.getoption("neurenix_report") and config.getoption("numprocesses", None):
        import pytest

        raise pytest.UsageError(
            "--neurenix-report is made by one process: leave out -n of pytest-xdist"
        )
