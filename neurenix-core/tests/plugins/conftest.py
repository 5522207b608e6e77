"""Plugins that come for one test and go after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import neurenix as nx
from neurenix.plugins import PluginRecord, hookimpl, plugin_manager

Register = Callable[..., PluginRecord]


class Plugin:
    """An object with the hook implementations it is given."""

    def __init__(self, **hooks: Callable[..., Any]) -> None:
        for name, function in hooks.items():
            setattr(self, name, hookimpl(function))


@pytest.fixture
def register() -> Iterator[Register]:
    """Return a function that registers a plugin with the hooks given by name."""
    nx.default_device()  # chosen before the plugins come, as in a process without them
    manager = plugin_manager()
    plugins: list[Plugin] = []

    def add(
        name: str = "acme", distribution: str = "", **hooks: Callable[..., Any]
    ) -> PluginRecord:
        record = PluginRecord(name, "tests", distribution or name, "1.0")
        plugins.append(Plugin(**hooks))
        try:
            manager.add(plugins[-1], record)
        except BaseException:
            plugins.pop()
            raise
        return record

    yield add
    for plugin in plugins:
        manager.unregister(plugin)
