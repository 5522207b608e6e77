"""Build the sdist of every distribution, the wheel from that sdist, and an index of them.

    python tools/build_distributions.py                    # all, into dist/
    python tools/build_distributions.py neurenix-transfer  # one

Native distributions are among all where their toolchain is at hand.

Nothing is downloaded: the build backends must be installed, as they are in `tox -e build`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from package_index import distribution_files, write_index

ROOT = Path(__file__).resolve().parents[1]
# The build backends, and the program that each of them needs beside Python.
_TOOLCHAINS: dict[str, str | None] = {"hatchling.build": None, "maturin": "cargo"}
# Those of GPUs are built where scikit-build-core and their compiler are at hand: it takes minutes.
_GPU_COMPILERS = {"neurenix-backend-cuda": "nvcc", "neurenix-backend-rocm": "hipcc"}


def find_distributions(root: Path = ROOT) -> dict[str, Path]:
    """Return the folder of each distribution of the repository, by its name."""
    projects = [root / "pyproject.toml", *sorted(root.glob("neurenix-*/pyproject.toml"))]
    return {_read(path)["project"]["name"]: path.parent for path in projects}


def lacks(folder: Path) -> str | None:
    """Return the program that the build of a distribution needs and that is not here, if any."""
    project = _read(folder / "pyproject.toml")
    backend = project["build-system"]["build-backend"]
    if backend == "scikit_build_core.build":
        if find_spec("scikit_build_core") is None:
            return "scikit-build-core"
        program: str | None = _GPU_COMPILERS[project["project"]["name"]]
    else:
        program = _TOOLCHAINS[backend]
    return program if program is not None and shutil.which(program) is None else None


def is_pure(folder: Path) -> bool:
    """Whether a distribution is pure Python: its wheel does not depend on where it is built."""
    backend: str = _read(folder / "pyproject.toml")["build-system"]["build-backend"]
    return backend == "hatchling.build"


def buildable(root: Path = ROOT) -> list[str]:
    """Return the names of the distributions that can be built here."""
    return [name for name, folder in find_distributions(root).items() if lacks(folder) is None]


def build(folder: Path, out: Path, *, from_sdist: bool = True) -> None:
    """Build one distribution.

    Args:
        folder: The one with its ``pyproject.toml``.
        out: Where the files go.
        from_sdist: Build the sdist, and the wheel from it; otherwise the wheel from the folder.
    """
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out)]
    done = subprocess.run(
        [*command, *([] if from_sdist else ["--wheel"]), str(folder)],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        # The wheel is built in a copy of the sdist; what cargo compiled before is used there too.
        env={"CARGO_TARGET_DIR": str(folder / "target"), **os.environ},
    )
    if done.returncode:
        sys.exit(f"{folder} cannot be built:\n{done.stdout}{done.stderr}")


def build_all(out: Path, names: Iterable[str] = ()) -> list[Path]:
    """Build distributions into a folder from which older ones are removed, and index them.

    Args:
        out: The folder; other files in it stay.
        names: The distributions; without any, all whose toolchain is here.

    Returns:
        The wheels and sdists.
    """
    folders = find_distributions()
    chosen = list(names) or buildable()
    if unknown := [name for name in chosen if name not in folders]:
        sys.exit(f"no distribution {', '.join(unknown)} here; there are {', '.join(folders)}")
    out.mkdir(parents=True, exist_ok=True)
    for old in distribution_files(out):
        old.unlink()
    for name in chosen:
        build(folders[name], out)
    for name, folder in folders.items():
        if name not in chosen:
            missing = lacks(folder)
            print(f"not built: {name}" + (f", as there is no {missing} here" if missing else ""))
    write_index(out)
    return distribution_files(out)


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="distributions (default: all that can be built)")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where to (default: dist)")
    given = parser.parse_args()
    for path in build_all(given.out, given.names):
        print(f"{path.stat().st_size / 1e3:8.1f} kB  {path}")
