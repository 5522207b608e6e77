"""What installed distributions take on the disk, with all that they require."""

from __future__ import annotations

import importlib.metadata as metadata
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

# What the build of PyTorch with CUDA, the default for Linux, holds beyond the one for CPUs.
CUDA_DISTRIBUTIONS = re.compile(r"nvidia-|cuda-|triton$")
CUDA_FILES = re.compile(r"^lib(torch|c10)_(cuda|nvshmem)|^libcaffe2_nvrtc")


def required_by(names: list[str], skip: re.Pattern[str] | None = None) -> set[str]:
    """Return the installed distributions that these require, themselves included."""
    from packaging.requirements import Requirement

    found: set[str] = set()
    open_names = [_normal(name) for name in names]
    while open_names:
        name = open_names.pop()
        if name in found or (skip is not None and skip.match(name)):
            continue
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another platform, or optional
        found.add(name)
        for text in requires:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                open_names.append(_normal(requirement.name))
    return found


def megabytes(names: set[str], counts: Callable[[Path], bool] = lambda _: True) -> float:
    """Return what the files of distributions take, in units of 1e6 bytes."""
    files = {file for name in names for file in _files(name)}
    return sum(file.stat().st_size for file in files if file.is_file() and counts(file)) / 1e6


def _files(name: str) -> Iterator[Path]:
    """Yield the files of a distribution; of an editable one, those of its source folder."""
    distribution = metadata.distribution(name)
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        source = Path(unquote(urlparse(origin["url"]).path)) / "src"
        for folder, _, files in os.walk(source):
            yield from (Path(folder, file) for file in files)
    for file in distribution.files or []:
        yield Path(str(file.locate())).resolve()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
