"""The command line: the shell ``neurenix``, and its own commands.

Commands of other distributions come through the entry-point group ``neurenix.commands``; see
`neurenix.cli.plugins`. Importing this package imports neither typer nor rich.
"""

from __future__ import annotations

from neurenix.cli.app import main

__all__ = ["main"]
