"""Installs plugins without pip: the module is copied, the metadata written from pyproject.toml."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

BROKEN = Path(__file__).resolve().parents[1] / "plugins" / "broken"


def install(project: Path, site: Path) -> None:
    """Install a project that is one package of pure Python into a folder for PYTHONPATH."""
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for package in project.iterdir():
        if (package / "__init__.py").is_file():
            shutil.copytree(package, site / package.name, ignore=shutil.ignore_patterns("*.pyc"))
    write_metadata(site, metadata["name"], metadata["version"], metadata["entry-points"])


def write_metadata(
    site: Path, name: str, version: str, groups: Mapping[str, Mapping[str, str]]
) -> Path:
    """Write the dist-info folder of a distribution, and return it."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n", encoding="utf-8"
    )
    lines = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{point} = {value}" for point, value in points.items()), ""]
    (folder / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def install_broken(site: Path, names: Iterable[str] | None = None) -> list[str]:
    """Install broken plugins, all of them if none is named; return their names."""
    chosen = sorted(path.name for path in BROKEN.iterdir() if path.is_dir())
    if names is not None:
        chosen = list(names)
    for name in chosen:
        install(BROKEN / name, site)
    return chosen


def run_with(
    site: Path, *arguments: str, check: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with the plugins of a folder; of Neurenix's variables, only those given are set.

    Args:
        site: The folder that they are installed in.
        *arguments: What follows ``python``.
        check: Whether a failure is an error here.
        **variables: Environment variables.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NEURENIX_")}
    environment = {**kept, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", **variables}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    if check and done.returncode:
        raise AssertionError(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done
