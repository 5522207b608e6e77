"""The emulated GPU: where it is, and how Python is run with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SITE = "PHYNEXUS_EMULATED_SITE"
RunPython = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def emulated() -> Path:
    """The folder that the emulated GPU is installed in; `tox -e gpu-emulated` builds it."""
    if SITE not in os.environ:
        pytest.skip(f"{SITE} does not name an emulated GPU; `tox -e gpu-emulated` builds one")
    return Path(os.environ[SITE])


@pytest.fixture(scope="session")
def run_python(emulated: Path) -> RunPython:
    """Return a function that runs Python in a new process that has the emulated GPU."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("NEURENIX_", "PHYNEXUS_"))}
        paths = [str(emulated), *filter(None, [kept.get("PYTHONPATH")])]
        fixed = {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, *arguments],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**kept, **fixed, "NEURENIX_HOST_FALLBACK": "error", **variables},
        )

    return run


@pytest.fixture(scope="session")
def run_kit(run_python: RunPython, tmp_path_factory: pytest.TempPathFactory) -> RunPython:
    """Return a function that runs the conformance kit, or a level of it, on the emulated GPU."""

    def run(level: str | None, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        kit = "neurenix.testing.conformance" + (f".test_{level}" if level else "")
        place = str(tmp_path_factory.mktemp("kit"))
        program = (
            f"import os, sys, pytest; os.chdir({place!r}); sys.exit(pytest.main(sys.argv[1:]))"
        )
        pytest_options = ["-q", "-p", "no:cacheprovider", "--rootdir=.", "--pyargs", kit]
        device = "--neurenix-device=gpu_emulated"
        return run_python("-c", program, *pytest_options, device, *options, **variables)

    return run
