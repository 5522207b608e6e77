"""``neurenix --version``."""

from __future__ import annotations

import platform

import typer


def installed_versions() -> dict[str, str]:
    """Return the versions of what a result may depend on: Neurenix's packages, Python, NumPy."""
    from importlib_metadata import distributions

    ours = {
        name: distribution.version
        for distribution in distributions()
        if (name := distribution.metadata["Name"] or "").startswith("neurenix")
    }
    from numpy import __version__ as numpy_version

    return {
        **dict(sorted(ours.items())),
        "python": platform.python_version(),
        "numpy": numpy_version,
    }


def print_version(wanted: bool) -> None:
    """Print the versions and exit, where the option was given."""
    if not wanted:
        return
    for name, version in installed_versions().items():
        typer.echo(f"{name} {version}")
    raise typer.Exit
