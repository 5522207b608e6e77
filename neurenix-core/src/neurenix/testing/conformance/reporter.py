"""Gathers what the tests of the kit found, and prints and writes it at the end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from neurenix.backends import Device
from neurenix.backends.registry import record_of
from neurenix.dtypes import DType
from neurenix.testing.calls import op_names
from neurenix.testing.coverage import Coverage
from neurenix.testing.speed import measure

_WAY = "neurenix-way"
_TEST = "neurenix-test"
_FOLDER = Path(__file__).parent


def option(config: pytest.Config, name: str) -> str | None:
    """Return the value of an option of the kit; None where it is not given."""
    value: str | None = config.getoption(f"neurenix_{name}", None)
    return value


def chosen_ops(config: pytest.Config) -> list[str] | None:
    """Return the ops that the run is limited to; None stands for all."""
    given = option(config, "ops")
    return None if given is None else [name.strip() for name in given.split(",")]


def note_way(request: pytest.FixtureRequest, op: str, dtype: DType, way: str) -> None:
    """Note, from within a test, how an op was carried out."""
    request.node.user_properties.append((_WAY, (op, str(dtype), way)))


def name_tests(items: list[pytest.Item]) -> dict[str, pytest.Item]:
    """Return the tests of the kit among items, by ids that no folder and no option changes."""
    found = {f"{i.path.name}::{i.name}": i for i in items if i.path.parent == _FOLDER}
    for name, item in found.items():
        item.user_properties.append((_TEST, name))
    return found


class Reporter:
    """A plugin of pytest that lives for one run of the kit.

    Args:
        config: pytest's configuration.

    Attributes:
        device: The device under test, once it is open.
        coverage: What was found so far.
    """

    NAME = "neurenix-conformance"

    def __init__(self, config: pytest.Config) -> None:
        self.device: Device | None = None
        self.config = config
        self.coverage = Coverage()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count an outcome."""
        properties = [(key, value) for key, value in report.user_properties]
        name = str(dict(properties).get(_TEST, ""))
        if not name or (report.when != "call" and report.outcome == "passed"):
            return
        expected = hasattr(report, "wasxfail") and report.outcome == "skipped"
        level = name.split("_")[1].upper()
        self.coverage.levels[level]["xfailed" if expected else report.outcome] += 1
        if expected:
            self.coverage.expected.append(name)
        elif report.outcome == "failed":
            self.coverage.failures.append(name)
        for key, value in properties:
            if key == _WAY and isinstance(value, tuple):
                self.coverage.note(*value)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Write the report, if one is asked for."""
        path = option(self.config, "report")
        if path is not None and self.device is not None and self.coverage.levels:
            # How quickly an op gives wrong results is of no interest, and it may not come back.
            wrong = {
                re.split(r"[\[\]-]", name)[1] for name in self.coverage.failures if "[" in name
            }
            ops = [op for op in chosen_ops(self.config) or op_names() if op not in wrong]
            self.coverage.speeds = measure(self.device, ops)
            self.coverage.save(Path(path), self.device)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print what was found."""
        if self.device is None or not self.coverage.levels:
            return
        description = record_of(self.device).devices[self.device.index].description
        terminalreporter.section(f"conformance of the device {self.device}: {description}")
        for line in self.coverage.lines():
            terminalreporter.write_line(line)
