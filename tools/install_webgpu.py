"""Build the WebGPU backend and install it here, where cargo is at hand.

    python tools/install_webgpu.py          # build and install
    python tools/install_webgpu.py --test   # the tests of its crate as well

Without cargo it says so and changes nothing: the backend's tests are skipped then. A backend that
was installed from the same sources stays as it is.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from native_wheel import ROOT, install

NAME = "neurenix-backend-webgpu"
_WITHOUT_ADAPTER = (
    "There is no adapter here, so the tests of the WebGPU backend are skipped: on Debian, the "
    "package mesa-vulkan-drivers has one in software."
)


def main() -> None:
    """Install the backend, or say why not; test its crate if that is asked for."""
    parser = argparse.ArgumentParser(description="Build the WebGPU backend and install it here.")
    parser.add_argument("--test", action="store_true", help="test the crate, which needs no GPU")
    wanted = parser.parse_args()
    if not install(NAME, "WebGPU backend", "its tests are skipped"):
        return
    if wanted.test:
        _run("cargo", "fmt", "--check")
        _run("cargo", "test", "--locked", "--release", "--quiet", "--package", "phynexus-webgpu")
    count = "from neurenix_backend_webgpu.adapters import adapters; print(len(adapters()))"
    if _output_of(sys.executable, "-c", count) == "0":
        print(_WITHOUT_ADAPTER)


def _run(*command: str) -> None:
    print("$", *command, flush=True)
    if subprocess.run(command, cwd=ROOT / NAME, check=False).returncode:
        sys.exit(f"{' '.join(command)} failed")


def _output_of(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
