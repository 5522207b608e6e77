"""The device under test, expected failures, and the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from neurenix.backends import Device, resolve
from neurenix.errors import NeurenixError
from neurenix.plugins import environment
from neurenix.testing.conformance.reporter import Reporter, name_tests, option
from neurenix.testing.overrides import read_overrides


def pytest_configure(config: pytest.Config) -> None:
    """Start the report."""
    config.pluginmanager.register(Reporter(config), Reporter.NAME)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Open the device; mark the tests that the overrides expect to fail."""
    known = name_tests(items)
    try:
        _reporter(config).device = resolve(option(config, "device"))
    except NeurenixError as error:
        pytest.exit(f"--neurenix-device: {error}", pytest.ExitCode.USAGE_ERROR)
    named = option(config, "overrides")
    if named is None:
        return
    try:
        reasons = read_overrides(Path(named))
    except NeurenixError as error:
        pytest.exit(f"--neurenix-overrides: {error}", pytest.ExitCode.USAGE_ERROR)
    functions = {name.partition("[")[0] for name in known}
    for name, reason in reasons.items():
        if name in known:
            known[name].add_marker(pytest.mark.xfail(reason=reason, strict=True))
        elif option(config, "ops") is None and name.partition("[")[0] in functions:
            reason = f"{named} names {name!r}, and there is no such test"
            pytest.exit(reason, pytest.ExitCode.USAGE_ERROR)


def _reporter(config: pytest.Config) -> Reporter:
    reporter = config.pluginmanager.get_plugin(Reporter.NAME)
    assert isinstance(reporter, Reporter)
    return reporter


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> Device:
    """The device under test."""
    device = _reporter(pytestconfig).device
    assert device is not None
    return device


@pytest.fixture(autouse=True, scope="session")
def no_help_from_the_host() -> Iterator[None]:
    """What a device cannot do is an error, not something to do elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(environment.HOST_FALLBACK, "error")
        yield
