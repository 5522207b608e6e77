"""The emulated GPU: where it is, and how Python is run with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SITE = "PHYNEXUS_EMULATED_SITE"
HIP_SITE = "PHYNEXUS_EMULATED_HIP_SITE"
RunPython = Callable[..., subprocess.CompletedProcess[str]]


def site(variable: str) -> Path:
    if not Path(os.environ.get(variable, ""), "phynexus_gpu_emulated").is_dir():
        pytest.skip(f"{variable} does not name an emulated GPU; `tox -e gpu-emulated` builds one")
    return Path(os.environ[variable])


@pytest.fixture(scope="session")
def emulated() -> Path:
    """The folder that the emulated GPU of NVIDIA is installed in."""
    return site(SITE)


@pytest.fixture(scope="session")
def emulated_hip() -> Path:
    """The folder that the emulated GPU of AMD is installed in."""
    return site(HIP_SITE)


@pytest.fixture(scope="session")
def run_python(emulated: Path) -> RunPython:
    """Return a function that runs Python in a new process that has an emulated GPU."""

    def run(
        *arguments: str, hip: bool = False, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("NEURENIX_", "PHYNEXUS_"))}
        folder = site(HIP_SITE) if hip else emulated
        paths = [str(folder), *filter(None, [kept.get("PYTHONPATH")])]
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

    def run(
        level: str | None, *options: str, hip: bool = False, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        kit = "neurenix.testing.conformance" + (f".test_{level}" if level else "")
        place = str(tmp_path_factory.mktemp("kit"))
        program = (
            f"import os, sys, pytest; os.chdir({place!r}); sys.exit(pytest.main(sys.argv[1:]))"
        )
        pytest_options = ["-q", "-p", "no:cacheprovider", "--rootdir=.", "--pyargs", kit]
        device = "--neurenix-device=gpu_emulated"
        return run_python("-c", program, *pytest_options, device, *options, hip=hip, **variables)

    return run
