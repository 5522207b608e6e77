"""Check the CUDA backend on a GPU: the kit, the main job, the memory checker, the benchmarks.

    python tools/check_cuda.py [--without-benchmarks]

Where there is no GPU it says why, and succeeds. Otherwise the backend is built and installed here
first, with NVIDIA's libraries: minutes, and 1.5 GB.
"""

from __future__ import annotations

import argparse
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from native_wheel import ROOT

BACKEND = ROOT / "neurenix-backend-cuda"
PROBE = BACKEND / "src" / "neurenix_backend_cuda" / "probe.py"
KIT = "neurenix.testing.conformance"
# The memory checker makes kernels a hundred times as slow: the levels in which each runs once.
CHECKED = (f"{KIT}.test_l1_primitives", f"{KIT}.test_l2_composites")


def main() -> None:
    """Run all checks; stop at the first that fails."""
    parser = argparse.ArgumentParser(description="Check the CUDA backend on a GPU.")
    parser.add_argument("--without-benchmarks", action="store_true", help="leave the figures out")
    options = parser.parse_args()
    reason = runpy.run_path(str(PROBE))["why_no_gpu"]()
    if reason is not None:
        print(f"The CUDA backend is not checked: {reason}.")
        return
    _run(sys.executable, "-m", "pip", "install", f"{BACKEND}[libraries]")
    _run(sys.executable, "-m", "neurenix", "doctor")
    pytest = (sys.executable, "-m", "pytest", "-q")
    strict = {"NEURENIX_HOST_FALLBACK": "error"}
    with tempfile.TemporaryDirectory() as folder:
        on_device = ("--rootdir=.", "--neurenix-device=cuda", "--pyargs")
        _run(*pytest, *on_device, KIT, folder=folder, **strict)
        _check_memory(pytest, on_device, folder, strict)
        _run(*pytest, str(BACKEND / "tests" / "on_gpu"), folder=folder)
        _run("neurenix", "demo", "--out", f"{folder}/demo", NEURENIX_DEVICE="cuda")
    if not options.without_benchmarks:
        _run(sys.executable, str(ROOT / "benchmarks" / "gpu.py"))


def _check_memory(
    pytest: tuple[str, ...], on_device: tuple[str, ...], folder: str, strict: dict[str, str]
) -> None:
    checker = shutil.which("compute-sanitizer")
    if checker is None:
        print("There is no compute-sanitizer here, which the CUDA toolkit has: it is left out.")
        return
    for tool in ("memcheck", "racecheck"):
        command = (checker, "--tool", tool, "--error-exitcode", "9", "--target-processes", "all")
        _run(*command, *pytest, *on_device, *CHECKED, folder=folder, **strict)


def _run(*command: str, folder: str | Path = ROOT, **variables: str) -> None:
    print("$", *command, flush=True)
    done = subprocess.run(command, cwd=folder, check=False, env={**os.environ, **variables})
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
