"""Commands of other distributions, found through the entry-point group ``neurenix.commands``.

An entry point names a function with typer's annotations, or a ``typer.Typer``::

    [project.entry-points."neurenix.commands"]
    greet = "acme_neurenix.greet:greet"

Its module is imported when the command is run, never to list the commands: what the list says of
a command is the first line of its function's docstring (else its module's), read from the source.
A command that cannot be found or imported is named, and the others go on working.
"""

from __future__ import annotations

import ast
import traceback
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from neurenix.errors import PluginError

ENTRY_POINT_GROUP = "neurenix.commands"


@dataclass(frozen=True)
class CommandEntry:
    """One command that a distribution declares.

    Attributes:
        name: What one types after ``neurenix``.
        value: ``"package.module:object"``.
        distribution: The distribution it comes with.
    """

    name: str
    value: str
    distribution: str

    @property
    def module(self) -> str:
        """The module that holds the command."""
        return self.value.partition(":")[0].strip()

    @property
    def attribute(self) -> str:
        """The name of the command within its module."""
        return self.value.partition(":")[2].partition("[")[0].strip()

    def summary(self) -> str:
        """Say in one line what the command does, without importing its module."""
        source = _source_of(self.module)
        if source is None:
            return f"Unavailable: {self.distribution} has no module {self.module}."
        try:
            tree = ast.parse(source.read_bytes())
        except (OSError, SyntaxError) as error:
            return f"Unavailable: {source.name} of {self.distribution} cannot be read ({error})."
        documented: list[ast.FunctionDef | ast.Module] = [
            node
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and node.name == self.attribute
        ]
        for node in (*documented, tree):
            text = ast.get_docstring(node)
            if text:
                return text.partition("\n\n")[0].replace("\n", " ")
        return f"A command of {self.distribution}."

    def load(self) -> Any:
        """Import the command.

        Returns:
            What typer makes of it: a command, or a group of them.

        Raises:
            PluginError: It cannot be imported, or is no command. The message names its
                distribution and the cause.
        """
        import typer
        from importlib_metadata import EntryPoint

        try:
            target = EntryPoint(self.name, self.value, ENTRY_POINT_GROUP).load()
            if not isinstance(target, typer.Typer):
                function, target = target, typer.Typer(add_completion=False)
                target.command(self.name)(function)
            target.pretty_exceptions_enable = False
            target.info.name = self.name
            return typer.main.get_command(target)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may call sys.exit, or panic in native code
            where = traceback.extract_tb(error.__traceback__)[-1]
            raise PluginError(
                f"the command {self.name!r} of {self.distribution} cannot be loaded from "
                f"{self.value!r}: {type(error).__name__}: {error} ({where.filename}:"
                f"{where.lineno}). The other commands work; to repair this one, reinstall it: "
                f"pip install --force-reinstall {self.distribution}"
            ) from error


def command_entries(reserved: frozenset[str] = frozenset()) -> dict[str, CommandEntry]:
    """Return the commands of other distributions, by name.

    Args:
        reserved: Names that core has taken. A plugin cannot have them; it is warned about.
    """
    owners = dict.fromkeys(reserved, "neurenix-core")
    entries: dict[str, CommandEntry] = {}
    for entry in _declared():
        owner = owners.setdefault(entry.name, entry.distribution)
        if owner == entry.distribution:
            entries[entry.name] = entry
        else:
            _warn_once(entry, owner)
    return entries


@cache
def _declared() -> tuple[CommandEntry, ...]:
    from importlib_metadata import entry_points

    found: Iterable[Any] = entry_points(group=ENTRY_POINT_GROUP)
    entries = {
        CommandEntry(point.name, point.value, point.dist.name if point.dist else "unknown")
        for point in found
    }
    return tuple(sorted(entries, key=lambda entry: (entry.name, entry.distribution)))


@cache
def _warn_once(entry: CommandEntry, owner: str) -> None:
    warnings.warn(
        f"the command {entry.name!r} of {entry.distribution} is left out: {owner} has a "
        "command of that name; uninstall one of the two",
        RuntimeWarning,
        stacklevel=3,
    )


def _source_of(module: str) -> Path | None:
    """Find a module's source file, importing neither it nor the packages above it."""
    top, *below = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not below:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for folder in spec.submodule_search_locations or ():
        base = Path(folder, *below)
        for candidate in (base.with_suffix(".py"), base / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None
