"""Build the WebGPU backend and install it here, where cargo is at hand.

    python tools/install_webgpu.py          # build and install
    python tools/install_webgpu.py --test   # the tests of its crate as well

Without cargo it says so and changes nothing: the backend's tests are skipped then. A backend that
was installed from the same sources stays as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

BACKEND = Path(__file__).resolve().parents[1] / "neurenix-backend-webgpu"
_STAMP = Path(sys.prefix) / "neurenix-backend-webgpu.sources"
_WITHOUT_CARGO = (
    "There is no cargo here, so the WebGPU backend is not built, and its tests are skipped. Rust's "
    "installer, rustup, brings cargo."
)
_WITHOUT_ADAPTER = (
    "There is no adapter here, so the tests of the WebGPU backend are skipped: on Debian, the "
    "package mesa-vulkan-drivers has one in software."
)


def main() -> None:
    """Install the backend, or say why not; test its crate if that is asked for."""
    parser = argparse.ArgumentParser(description="Build the WebGPU backend and install it here.")
    parser.add_argument("--test", action="store_true", help="test the crate, which needs no GPU")
    wanted = parser.parse_args()
    if shutil.which("cargo") is None:
        print(_WITHOUT_CARGO)
        return
    _install()
    if wanted.test:
        _run("cargo", "fmt", "--check")
        _run("cargo", "test", "--locked", "--release", "--quiet", "--package", "phynexus-webgpu")
    count = "from neurenix_backend_webgpu.adapters import adapters; print(len(adapters()))"
    if _output_of(sys.executable, "-c", count) == "0":
        print(_WITHOUT_ADAPTER)


def digest_of_sources() -> str:
    """Return a digest of all that the backend is built from."""
    digest = hashlib.sha256()
    files = [BACKEND / "pyproject.toml", BACKEND / "Cargo.toml", BACKEND / "Cargo.lock"]
    for folder in ("crates", "src"):
        files += sorted((BACKEND / folder).rglob("*"))
    for path in files:
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(BACKEND)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _install() -> None:
    digest = digest_of_sources()
    if _is_installed() and _STAMP.is_file() and _STAMP.read_text() == digest:
        return
    print("Building the WebGPU backend with cargo (some minutes the first time) ...", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "--no-deps", "--force-reinstall", str(BACKEND)], check=False)
    if done.returncode:
        sys.exit("the WebGPU backend cannot be built; cargo's message is above")
    _STAMP.write_text(digest)


def _is_installed() -> bool:
    try:
        importlib.metadata.distribution(BACKEND.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _run(*command: str) -> None:
    print("$", *command, flush=True)
    if subprocess.run(command, cwd=BACKEND, check=False).returncode:
        sys.exit(f"{' '.join(command)} failed")


def _output_of(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
