"""The shell: its own commands, and how it speaks of errors."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import neurenix
from neurenix.backends import DeviceInfo
from neurenix.cli import main
from neurenix.cli.app import INSTALL_LINE
from neurenix.cli.shell import app

from .conftest import AddDistribution

RAISING = """
import typer
import warnings
from neurenix.errors import ShapeError


def shape():
    raise ShapeError("expected 3, got 4")


def missing():
    open("/no/such/file")


def interrupt():
    raise KeyboardInterrupt("The best so far is kept.")


def bug():
    raise ZeroDivisionError("a bug")


def warn():
    warnings.warn("mind the gap", UserWarning, stacklevel=1)
    print("done")
"""
COMMANDS = {name: f"raising:{name}" for name in ("shape", "missing", "interrupt", "bug", "warn")}


@pytest.fixture
def raising(add_distribution: AddDistribution) -> None:
    add_distribution("acme-raising", COMMANDS, raising=RAISING)


def test_help_lists_the_commands(runner: CliRunner) -> None:
    result = runner.invoke(app, ["--help"])
    assert result.exit_code == 0
    assert "devices" in result.stdout


def test_no_arguments_show_the_help(runner: CliRunner) -> None:
    assert "devices" in runner.invoke(app, []).output


def test_version_names_python_and_numpy(runner: CliRunner) -> None:
    result = runner.invoke(app, ["--version"])
    assert result.exit_code == 0
    assert f"python {sys.version.split()[0]}" in result.stdout
    assert "numpy " in result.stdout


def test_devices_names_every_device(runner: CliRunner) -> None:
    result = runner.invoke(app, ["devices"])
    assert result.exit_code == 0
    heads = [line for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert [line.split()[0] for line in heads[: len(neurenix.get_available_devices())]] == [
        str(device) for device in neurenix.get_available_devices()
    ]


def test_devices_shows_what_a_backend_says_of_a_device(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = DeviceInfo(0, "a GPU", memory_bytes=3 << 30, details={"driver": "7.1", "limit": "64"})
    monkeypatch.setattr("neurenix.backends.registry.available_devices", lambda: [("some:0", info)])
    assert runner.invoke(app, ["devices"]).stdout.splitlines()[:3] == [
        f"{'some:0':<10} {'a GPU':<40} 3.0 GiB",
        "           driver: 7.1",
        "           limit: 64",
    ]


def test_devices_as_json(runner: CliRunner) -> None:
    result = runner.invoke(app, ["devices", "--json"])
    answer = json.loads(result.stdout)
    assert answer["devices"][0]["device"] == str(neurenix.get_available_devices()[0])
    assert answer["unusable"] == []


@pytest.mark.usefixtures("raising")
class TestErrors:
    def test_an_error_of_ours_is_one_message(self, runner: CliRunner) -> None:
        result = runner.invoke(app, ["shape"])
        assert result.exit_code == 2
        assert result.stderr.strip() == "Error: expected 3, got 4"
        assert result.stdout == ""

    def test_debugging_shows_the_traceback(
        self, runner: CliRunner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NEURENIX_DEBUG", "1")
        result = runner.invoke(app, ["shape"])
        assert result.exit_code == 2
        assert "Traceback" in result.stderr
        assert 'raise ShapeError("expected 3, got 4")' in result.stderr

    def test_the_systems_errors_are_one_message(self, runner: CliRunner) -> None:
        result = runner.invoke(app, ["missing"])
        assert result.exit_code == 2
        assert "/no/such/file" in result.stderr
        assert "Traceback" not in result.stderr

    def test_a_bug_is_not_hidden(self, runner: CliRunner) -> None:
        result = runner.invoke(app, ["bug"])
        assert isinstance(result.exception, ZeroDivisionError)

    def test_interrupt(self, runner: CliRunner) -> None:
        result = runner.invoke(app, ["interrupt"])
        assert result.exit_code == 130
        assert "The best so far is kept." in result.stderr

    @pytest.mark.filterwarnings("default")
    def test_warnings_are_one_line(self, runner: CliRunner) -> None:
        result = runner.invoke(app, ["warn"])
        assert result.exit_code == 0
        assert result.stderr == "Warning: mind the gap\n"


@pytest.mark.parametrize("module", ["typer", "rich"])
def test_without_typer_or_rich_the_install_line_is_named(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert INSTALL_LINE in str(exit_.value.code)
    assert repr(module) in str(exit_.value.code)


def test_the_process_exits_with_2_on_a_mistyped_command() -> None:
    program = "import sys; sys.argv = ['neurenix', 'device']; from neurenix.cli import main; main()"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "devices" in done.stderr  # suggested


def test_importing_the_command_line_loads_neither_typer_nor_rich() -> None:
    program = (
        "import sys, neurenix.cli\n"
        "assert not {'typer', 'rich', 'click'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
