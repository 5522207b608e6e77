"""The shell ``neurenix``: commands of its own, those of other distributions, and errors."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
import typer.core

from neurenix.cli.devices import devices
from neurenix.cli.doctor import doctor
from neurenix.cli.new_backend import new_backend
from neurenix.cli.plugins import CommandEntry, command_entries
from neurenix.cli.version import print_version
from neurenix.errors import NeurenixError

ERROR_EXIT_CODE = 2
INTERRUPT_EXIT_CODE = 130  # what shells report for a program that SIGINT ended: 128 + 2


class Shell(typer.core.TyperGroup):
    """The group of all commands.

    The command of another distribution is imported when it is run. Listing the commands reads
    only what the distributions say about them.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._loaded: dict[str, Any] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, core's own first."""
        return [*self.commands, *self._entries()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; one of another distribution that has not run yet as a stand-in."""
        entry = self._entries().get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        stand_in = typer.core.TyperCommand(cmd_name, help=entry.summary())
        return self._loaded.get(cmd_name, stand_in)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the arguments ask for, importing it where it is a plugin's."""
        entry = self._entries().get(args[0])
        if entry is not None and args[0] not in self._loaded:
            self._loaded[args[0]] = entry.load()
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; errors that Neurenix raises on purpose become one message."""
        with _plain_warnings(), _explained_errors():
            return super().invoke(ctx)

    def _entries(self) -> dict[str, CommandEntry]:
        return command_entries(reserved=frozenset(self.commands))


def debugging() -> bool:
    """Whether NEURENIX_DEBUG asks for tracebacks."""
    return os.environ.get("NEURENIX_DEBUG", "0") not in ("", "0")


@contextmanager
def _explained_errors() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        typer.secho(f"Stopped by Ctrl-C. {interrupt}".rstrip(), fg="yellow", err=True)
        raise typer.Exit(INTERRUPT_EXIT_CODE) from interrupt
    except BrokenPipeError:
        raise  # the reader of our output has gone: typer ends quietly
    except (NeurenixError, OSError) as error:
        if debugging():
            traceback.print_exc()
        typer.secho("Error: ", fg="red", bold=True, nl=False, err=True)
        typer.echo(str(error), err=True)
        raise typer.Exit(ERROR_EXIT_CODE) from error


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show warnings as one line each, without the place in the code that raised them."""
    with warnings.catch_warnings():
        if not debugging():
            warnings.showwarning = _show_warning
        yield


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    typer.secho("Warning: ", fg="yellow", bold=True, nl=False, err=True)
    print(message, file=sys.stderr)  # noqa: T201


app = typer.Typer(
    name="neurenix",
    cls=Shell,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def neurenix(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=print_version,
            is_eager=True,
            help="Print the versions of everything installed, and exit.",
        ),
    ] = False,
) -> None:
    """Take a pretrained model, adapt it to your data, ship it."""


app.command("devices")(devices)
app.command("doctor")(doctor)
app.command("new-backend")(new_backend)
