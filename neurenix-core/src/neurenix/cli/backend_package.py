"""Writes the package of a new backend from templates: one that works, and passes its tests."""

from __future__ import annotations

import datetime
import re
from importlib.resources import files
from pathlib import Path

from neurenix._version import __version__
from neurenix.errors import SettingError
from neurenix.plugins.spec import API_VERSION

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_PLACEHOLDER = re.compile(r"@([a-z]+)@")

# Where a file goes, and the template it is made of.
_FILES = {
    "pyproject.toml": "pyproject.toml.in",
    "README.md": "README.md.in",
    "LICENSE": "LICENSE.in",
    "overrides.toml": "overrides.toml.in",
    ".gitignore": "gitignore.in",
    ".github/workflows/test.yml": "test.yml.in",
    "src/@module@/__init__.py": "init.py.in",
    "src/@module@/probe.py": "probe.py.in",
    "src/@module@/backend.py": "backend.py.in",
    "src/@module@/py.typed": "",
    "tests/test_conformance.py": "test_conformance.py.in",
}


def write_backend_package(name: str, out: Path) -> tuple[Path, list[Path]]:
    """Write the package of a new backend.

    Args:
        name: The device type that it serves, such as ``"npu"``; the distribution is called
            ``neurenix-backend-NAME``.
        out: The folder in which a folder of the distribution's name is made.

    Returns:
        That folder, and the files in it.

    Raises:
        SettingError: The name cannot be a device type, or the folder exists.
    """
    if not _NAME.fullmatch(name):
        raise SettingError(
            f"{name!r} cannot be a device type: expected lower-case letters, digits and single "
            "underscores, such as 'npu'"
        )
    distribution = f"neurenix-backend-{name.replace('_', '-')}"
    folder = out / distribution
    if folder.exists():
        raise SettingError(f"{folder} exists; choose another name, or another folder with --out")
    major, minor = __version__.split(".")[:2]
    values = {
        "api": str(API_VERSION),
        "bounds": f">={major}.{minor},<{int(major) + 1}",
        "device": name,
        "distribution": distribution,
        "module": f"neurenix_backend_{name}",
        "year": str(datetime.date.today().year),
    }
    templates = files("neurenix.cli") / "templates" / "backend"
    written = []
    for place, template in _FILES.items():
        text = (templates / template).read_text(encoding="utf-8") if template else ""
        path = folder / _filled(place, values)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_filled(text, values), encoding="utf-8")
        written.append(path)
    return folder, written


def _filled(text: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)
