"""Commands of other distributions: found without being imported, and kept from harming others."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from neurenix.cli.plugins import command_entries
from neurenix.cli.shell import app

from .conftest import AddDistribution

GREET = '''
"""Says hello."""
from typing import Annotated
import typer


def greet(name: Annotated[str, typer.Argument()], loud: bool = False) -> None:
    """Greet somebody.

    At length.
    """
    print(f"Hello, {name}".upper() if loud else f"Hello, {name}")


group = typer.Typer(help="Several greetings.")


@group.command("morning")
def morning() -> None:
    """Greet in the morning."""
    print("Good morning")


@group.command("evening")
def evening() -> None:
    """Greet in the evening."""
    print("Good evening")
'''


def test_a_command_runs_with_its_options(
    runner: CliRunner, add_distribution: AddDistribution
) -> None:
    add_distribution("acme-greet", {"greet": "acme_greet:greet"}, acme_greet=GREET)
    assert runner.invoke(app, ["greet", "Ada", "--loud"]).stdout == "HELLO, ADA\n"
    assert "--loud" in runner.invoke(app, ["greet", "--help"]).stdout
    assert runner.invoke(app, ["greet"]).exit_code == 2


def test_a_group_of_commands(runner: CliRunner, add_distribution: AddDistribution) -> None:
    add_distribution("acme-greet", {"greetings": "acme_greet:group"}, acme_greet=GREET)
    assert runner.invoke(app, ["greetings", "evening"]).stdout == "Good evening\n"


def test_listing_reads_the_docstring_and_imports_nothing(
    runner: CliRunner, add_distribution: AddDistribution
) -> None:
    add_distribution("acme-greet", {"greet": "acme_greet:greet"}, acme_greet=GREET)
    result = runner.invoke(app, ["--help"])
    assert "Greet somebody." in result.stdout
    assert "At length" not in result.stdout
    assert "acme_greet" not in sys.modules


def test_running_one_command_imports_no_other(
    runner: CliRunner, add_distribution: AddDistribution
) -> None:
    add_distribution("acme-greet", {"greet": "acme_greet:greet"}, acme_greet=GREET)
    assert runner.invoke(app, ["devices"]).exit_code == 0
    assert "acme_greet" not in sys.modules


BROKEN = {
    "raises": ("acme_raises:command", {"acme_raises": "raise RuntimeError('no such luck')"}),
    "exits": ("acme_exits:command", {"acme_exits": "import sys; sys.exit(3)"}),
    "syntax": ("acme_syntax:command", {"acme_syntax": "def command(:"}),
    "absent": ("acme_absent:command", {}),
    "attribute": ("acme_attribute:command", {"acme_attribute": "x = 1"}),
    "uncallable": ("acme_uncallable:command", {"acme_uncallable": "command = 1"}),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_command_is_named_and_harms_no_other(
    kind: str, runner: CliRunner, add_distribution: AddDistribution
) -> None:
    value, sources = BROKEN[kind]
    add_distribution(f"acme-{kind}", {"broken": value}, **sources)
    add_distribution("acme-greet", {"greet": "acme_greet:greet"}, acme_greet=GREET)

    listed = runner.invoke(app, ["--help"])
    assert listed.exit_code == 0
    assert "broken" in listed.stdout
    assert runner.invoke(app, ["greet", "Ada"]).stdout == "Hello, Ada\n"
    assert runner.invoke(app, ["devices"]).exit_code == 0

    result = runner.invoke(app, ["broken"])
    assert result.exit_code == 2
    assert f"the command 'broken' of acme-{kind} cannot be loaded" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_cause_is_named_with_its_place(
    runner: CliRunner, add_distribution: AddDistribution
) -> None:
    value, sources = BROKEN["raises"]
    add_distribution("acme-raises", {"broken": value}, **sources)
    result = runner.invoke(app, ["broken"])
    assert "RuntimeError: no such luck" in result.stderr
    assert "acme_raises.py:1" in result.stderr


@pytest.mark.parametrize(
    ("kind", "expected"), [("absent", "no module acme_absent"), ("syntax", "cannot be read")]
)
def test_what_cannot_be_found_or_read_says_so_in_the_list(
    kind: str, expected: str, add_distribution: AddDistribution
) -> None:
    value, sources = BROKEN[kind]
    add_distribution(f"acme-{kind}", {"broken": value}, **sources)
    assert expected in command_entries()["broken"].summary()


def test_of_two_commands_of_one_name_the_first_stays_and_the_other_is_named(
    add_distribution: AddDistribution,
) -> None:
    add_distribution("acme-one", {"greet": "acme_greet:greet"}, acme_greet=GREET)
    add_distribution("acme-two", {"greet": "acme_greet:morning"})
    with pytest.warns(RuntimeWarning, match="'greet' of acme-two is left out: acme-one"):
        entries = command_entries()
    assert entries["greet"].distribution == "acme-one"


def test_a_plugin_cannot_take_a_command_of_the_core(add_distribution: AddDistribution) -> None:
    add_distribution("acme-one", {"devices": "acme_greet:greet"}, acme_greet=GREET)
    with pytest.warns(RuntimeWarning, match="'devices' of acme-one is left out: neurenix-core"):
        assert "devices" not in command_entries(frozenset({"devices"}))
