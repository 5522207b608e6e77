"""Builds the distributions once, and offers fresh environments to install them into.

Neurenix itself must not be installed where these tests run: `tox -e packaging` sees to it.
NEURENIX_TEST_DIST names a folder of built distributions to test in place of building them;
NEURENIX_TEST_WHEELHOUSE names a folder that keeps the third-party wheels from one run to the next.
"""

from __future__ import annotations

import functools
import http.server
import importlib.metadata
import itertools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from build_distributions import build_all, find_distributions
from fresh_environment import FreshEnvironment
from native_engine import ENGINE
from package_index import distribution_files, write_index

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = find_distributions()
INSTALLERS = ("pip", "uv")
MakeFresh = Callable[..., FreshEnvironment]


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
    if given := os.environ.get("NEURENIX_TEST_DIST"):
        return Path(given).resolve()
    folder = tmp_path_factory.mktemp("dist")
    build_all(folder)
    return folder


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example of a third party's backend: a copy of its folder."""
    folder = tmp_path_factory.mktemp("example") / "neurenix-backend-example"
    return shutil.copytree(ROOT / "tests" / "plugins" / folder.name, folder)


@pytest.fixture(scope="session")
def wheelhouse(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of everything that the distributions and their extras need."""
    given = os.environ.get("NEURENIX_TEST_WHEELHOUSE")
    folder = Path(given).resolve() if given else tmp_path_factory.mktemp("wheelhouse")
    # Of ours none is left from an earlier run: pip would take it for the one to install.
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    if list(dist.glob(f"{ENGINE.replace('-', '_')}-*.whl")):
        wanted = ["neurenix[demo,text]==" + _version(dist, "neurenix")]
    else:
        wanted = ["neurenix-transfer==" + _version(dist, "neurenix_transfer")]
    _run(*download, "--dest", folder, "--find-links", dist, *wanted)
    for ours in folder.glob("neurenix*"):
        ours.unlink()
    return folder


@pytest.fixture(scope="session")
def index(dist: Path, wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a package index on this machine with all of these."""
    folder = tmp_path_factory.mktemp("index")
    for path in [*distribution_files(dist), *distribution_files(wheelhouse)]:
        shutil.copyfile(path, folder / path.name)
    write_index(folder)
    handler = functools.partial(_SilentHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/simple/"
    server.shutdown()
    thread.join()
    server.server_close()


class _SilentHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def make_fresh(dist: Path, wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeFresh:
    """Return a function of the installer that makes a fresh environment for it."""
    numbers = itertools.count()
    cache = tmp_path_factory.mktemp("cache")

    def make(installer: str, index: str = "") -> FreshEnvironment:
        folder = tmp_path_factory.mktemp(f"{installer}-{next(numbers)}")
        made = FreshEnvironment(folder, installer, (dist, wheelhouse), cache, index)
        made.create()
        return made

    return make


@pytest.fixture(params=INSTALLERS)
def fresh(request: pytest.FixtureRequest, make_fresh: MakeFresh) -> FreshEnvironment:
    """A fresh environment, for each installer."""
    return make_fresh(request.param)


def _version(dist: Path, stem: str) -> str:
    """The version of a distribution in a folder."""
    (wheel,) = dist.glob(f"{stem}-*.whl")
    return wheel.name.split("-")[1]
