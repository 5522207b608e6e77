"""Builds the distributions once.

Neurenix itself must not be installed where these tests run: `tox -e packaging` sees to it.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "neurenix": ROOT,
    "neurenix-core": ROOT / "neurenix-core",
    "neurenix-transfer": ROOT / "neurenix-transfer",
}


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    installed = [name for name in FOLDERS if _is_installed(name)]
    reason = f"{', '.join(installed)} must not be installed here; run `tox -e packaging`"
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)
            if installed:
                item.add_marker(pytest.mark.skip(reason=reason))


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{output}"
    return output


@pytest.fixture(scope="session")
def run() -> Callable[..., str]:
    """Return a function that runs a command, which must succeed, and returns what it printed."""
    return _run


@pytest.fixture(scope="session")
def folders() -> dict[str, Path]:
    """Each distribution and its folder."""
    return FOLDERS


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of each distribution, and the wheel built from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    for source in FOLDERS.values():
        _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source)
    return folder
