"""Distributions made up for the tests, which bring commands to the shell."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from neurenix.cli import plugins

if TYPE_CHECKING:
    from typer.testing import CliRunner

# The command line comes with the distribution `neurenix`: core alone has not what it needs.
collect_ignore_glob = [] if find_spec("typer") and find_spec("rich") else ["test_*.py"]

AddDistribution = Callable[..., None]


@pytest.fixture
def runner() -> CliRunner:
    from typer.testing import CliRunner

    return CliRunner()


@pytest.fixture
def add_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AddDistribution]:
    """Return a function that puts a distribution with commands on the path."""
    place = tmp_path / "site-packages"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    modules = set(sys.modules)

    def add(name: str, commands: dict[str, str], **sources: str) -> None:
        information = place / f"{name.replace('-', '_')}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        lines = [f"{command} = {value}\n" for command, value in commands.items()]
        (information / "entry_points.txt").write_text("[neurenix.commands]\n" + "".join(lines))
        for module, source in sources.items():
            (place / f"{module}.py").write_text(source)
        importlib.invalidate_caches()
        plugins._declared.cache_clear()

    yield add
    plugins._declared.cache_clear()
    plugins._warn_once.cache_clear()
    for module in set(sys.modules) - modules:
        if str(place) in (getattr(sys.modules[module], "__file__", None) or ""):
            del sys.modules[module]
