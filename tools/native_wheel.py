"""Installing a native backend: built by cargo, and left alone while its sources are the same."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def install(name: str, called: str, without: str) -> bool:
    """Build a distribution of the repository and install it into this environment.

    Args:
        name: The distribution, which is the name of its folder as well.
        called: What a person calls it, such as ``"native CPU engine"``.
        without: What happens where it is not there; said where cargo is missing.

    Returns:
        Whether it is installed now.

    Raises:
        SystemExit: It cannot be built.
    """
    if shutil.which("cargo") is None:
        print(
            f"There is no cargo here, so the {called} is not built: {without}. Rust's installer, "
            "rustup, brings cargo."
        )
        return False
    folder, stamp = ROOT / name, Path(sys.prefix) / f"{name}.sources"
    digest = digest_of_sources(folder)
    if _is_installed(name) and stamp.is_file() and stamp.read_text() == digest:
        return True
    print(f"Building the {called} with cargo (some minutes the first time) ...", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "--no-deps", "--force-reinstall", str(folder)], check=False)
    if done.returncode:
        sys.exit(f"the {called} cannot be built; cargo's message is above")
    stamp.write_text(digest)
    return True


def digest_of_sources(folder: Path) -> str:
    """Return a digest of all that a backend is built from."""
    digest = hashlib.sha256()
    files = [folder / "pyproject.toml", folder / "Cargo.toml", folder / "Cargo.lock"]
    for part in ("crates", "src"):
        files += sorted((folder / part).rglob("*"))
    for path in files:
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(folder)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
