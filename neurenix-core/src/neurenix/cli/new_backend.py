"""``neurenix new-backend``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def new_backend(
    name: Annotated[str, typer.Argument(help="The device type it will serve, such as npu.")],
    out: Annotated[
        Path, typer.Option("--out", help="The folder in which to make the package's folder.")
    ] = Path(),
) -> None:
    """Write the package of a new backend: one that works, with its tests, ready to publish."""
    from neurenix.cli.backend_package import write_backend_package

    folder, written = write_backend_package(name, out)
    for path in written:
        typer.echo(path)
    typer.echo(
        f"\nIt works as it is, with NumPy in the place of your device:\n"
        f"  cd {folder}\n"
        '  pip install -e ".[test]"\n'
        "  pytest\n"
        f"Then put your device into {folder.name}/src, piece by piece. The guide 'A backend in an "
        "afternoon' goes through it."
    )
