"""Fresh virtual environments, into which pip or uv installs from folders or from an index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Settings of the machine that would let an installation see more than what a test gives it, and
# of the interpreter that runs the tests.
DROPPED = ("PIP_", "UV_", "PYTHON", "NEURENIX_", "VIRTUAL_ENV")


@dataclass(frozen=True)
class FreshEnvironment:
    """A virtual environment without pip; the installers work on it from outside.

    Attributes:
        folder: Where it is.
        installer: "pip" or "uv".
        links: Folders of wheels, which are all that there is to install.
        cache: uv's cache; what is unpacked there once is linked into every environment.
        index: The address of a package index that replaces the folders.
    """

    folder: Path
    installer: str
    links: tuple[Path, ...]
    cache: Path
    index: str = ""

    def create(self) -> None:
        """Make it."""
        self._checked(sys.executable, "-m", "venv", "--without-pip", self.folder)

    @property
    def scripts(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    @property
    def site_packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", vars={"base": str(self.folder)}, scheme="venv"))

    def try_install(
        self, *arguments: str | Path, links: Sequence[Path] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Install, or fail to; the standard output holds all that the installer says.

        Args:
            *arguments: Requirements and options that pip and uv share.
            links: Folders of wheels beside those of the environment.
        """
        sources: list[str | Path] = ["--index-url", self.index] if self.index else ["--no-index"]
        for folder in [*([] if self.index else self.links), *links]:
            sources += ["--find-links", folder]
        # Compiling takes longer than all else, and Python does it for what is imported.
        options = ["--no-compile", "--no-cache-dir"] if self.installer == "pip" else []
        return self._installer("install", *options, *sources, *arguments)

    def install(self, *arguments: str | Path, links: Sequence[Path] = ()) -> str:
        """Install, and return what the installer says."""
        return _success(self.try_install(*arguments, links=links))

    def upgrade(self, name: str, links: Sequence[Path] = ()) -> str:
        """Upgrade one distribution, and others only where it needs that."""
        # uv's `--upgrade` is for whatever the requirements bring with them.
        options = ["--upgrade"] if self.installer == "pip" else ["--upgrade-package", name]
        return self.install(*options, name, links=links)

    def uninstall(self, *names: str) -> str:
        """Uninstall distributions."""
        yes = ["--yes"] if self.installer == "pip" else []
        return _success(self._installer("uninstall", *yes, *names))

    def is_consistent(self) -> bool:
        """Whether the installer finds that all requirements of what is installed are met."""
        return self._installer("check").returncode == 0

    def versions(self) -> dict[str, str]:
        """Return what is installed: normalized name to version."""
        lines = _success(self._installer("list", "--format=json")).splitlines()
        found = json.loads(next(line for line in lines if line.startswith("[")))
        return {item["name"].lower().replace("_", "-"): item["version"] for item in found}

    def python(self, code: str, *arguments: str | Path) -> str:
        """Run Python code, with warnings as errors, in a folder without any of the repository."""
        return self._checked(
            self.scripts / "python", "-W", "error", "-c", code, *arguments, cwd=self.folder
        )

    def try_command(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the command ``neurenix``."""
        return _run(self.scripts / "neurenix", *arguments, cwd=self.folder, cache=self.cache)

    def command(self, *arguments: str | Path) -> str:
        """Run the command ``neurenix``, which must succeed."""
        return _success(self.try_command(*arguments))

    def _installer(self, verb: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        python = self.scripts / "python"
        if self.installer == "pip":
            command = [sys.executable, "-m", "pip", "--isolated", "--python", python, verb]
            # The notice of a newer pip would ask the network.
            command.append("--disable-pip-version-check")
        else:
            command = [sys.executable, "-m", "uv", "pip", verb, "--no-config", "--python", python]
        return _run(*command, *arguments, cwd=self.folder, cache=self.cache)

    def _checked(self, *command: str | Path, cwd: Path | None = None) -> str:
        return _success(_run(*command, cwd=cwd, cache=self.cache))


def size_bytes(folder: Path) -> int:
    """Return the sum of the sizes of the files below a folder, without compiled Python."""
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    )


def _run(*command: str | Path, cwd: Path | None, cache: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
    home = str(cache / "neurenix-home")
    settings = {"UV_CACHE_DIR": str(cache / "uv"), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**kept, **settings, "MPLBACKEND": "Agg", "NEURENIX_HOME": home, "COLUMNS": "200"},
    )


def _success(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode:
        command = " ".join(map(str, done.args))
        raise AssertionError(f"exit code {done.returncode}: {command}\n{done.stdout}")
    return done.stdout
