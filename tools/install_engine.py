"""Build the native CPU engine and install it here, where cargo is at hand.

    python tools/install_engine.py

Without cargo it says so and changes nothing: NumPy serves the device `cpu` then. An engine that was
installed from the same sources stays as it is.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

ENGINE = Path(__file__).resolve().parents[1] / "neurenix-backend-cpu"
_STAMP = Path(sys.prefix) / "neurenix-backend-cpu.sources"


def main() -> None:
    """Install the engine, or say why not."""
    if shutil.which("cargo") is None:
        print(
            "There is no cargo here, so the native CPU engine is not built: NumPy serves the "
            "device cpu. Rust's installer, rustup, brings cargo."
        )
        return
    digest = digest_of_sources()
    if _is_installed() and _STAMP.is_file() and _STAMP.read_text() == digest:
        return
    print("Building the native CPU engine with cargo (a minute or two the first time) ...")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "--no-deps", "--force-reinstall", str(ENGINE)], check=False)
    if done.returncode:
        sys.exit("the native CPU engine cannot be built; cargo's message is above")
    _STAMP.write_text(digest)


def digest_of_sources() -> str:
    """Return a digest of all that the engine is built from."""
    digest = hashlib.sha256()
    files = [ENGINE / "pyproject.toml", ENGINE / "Cargo.toml", ENGINE / "Cargo.lock"]
    for folder in ("crates", "src"):
        files += sorted((ENGINE / folder).rglob("*"))
    for path in files:
        if path.is_file() and path.suffix in {".rs", ".toml", ".lock", ".py", ".pyi", ".typed"}:
            digest.update(f"{path.relative_to(ENGINE)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_installed() -> bool:
    try:
        importlib.metadata.distribution(ENGINE.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
