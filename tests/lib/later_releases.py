"""Later releases of the distributions: copies of their folders with other versions and bounds."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from build_distributions import build


def release(source: Path, place: Path, version: str, *replacements: tuple[str, str, str]) -> Path:
    """Build the wheel of a copy of a distribution's folder.

    Args:
        source: The folder with its ``pyproject.toml``; it stays as it is.
        place: A folder; the copy and the wheel go below it.
        version: The version in place of its own.
        *replacements: File, regular expression and what stands there instead.

    Returns:
        The folder with the wheel.
    """
    copy = place / "sources" / f"{source.name}-{version}"
    ignored = shutil.ignore_patterns("tests", "__pycache__", "dist")
    shutil.copytree(source, copy, ignore=ignored)
    states = next(copy.glob("src/*/_version.py"), copy / "pyproject.toml").relative_to(copy)
    own = (str(states), r'^(__version__|version) = ".*"$', rf'\1 = "{version}"')
    for file, pattern, text in (own, *replacements):
        _replace(copy / file, pattern, text)
    build(copy, place / "wheels", from_sdist=False)
    return place / "wheels"


def _replace(file: Path, pattern: str, text: str) -> None:
    content, count = re.subn(pattern, text, file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if count != 1:
        raise AssertionError(f"{file} must hold {pattern!r} once, not {count} times")
    file.write_text(content, encoding="utf-8")
