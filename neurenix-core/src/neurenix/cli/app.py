"""The entry of the command line."""

from __future__ import annotations

import sys

from neurenix.errors import MissingDependencyError, require

INSTALL_LINE = "pip install typer rich"


def main() -> None:
    """Run the command line on the arguments of the process, and exit.

    Exit codes: 0 done, 2 an error that the message explains, 130 stopped by Ctrl-C.
    """
    try:
        for module in ("typer", "rich"):
            require(module, install=INSTALL_LINE, purpose="the command line")
    except MissingDependencyError as error:
        sys.exit(f"Error: {error}")
    from neurenix.cli.shell import app

    app()
