"""Make a package index out of a folder of wheels and sdists.

    python tools/package_index.py dist
    python -m http.server --bind 127.0.0.1 --directory dist

pip and uv then install with ``--index-url http://127.0.0.1:8000/simple/``. The pages follow the
simple repository interface, https://packaging.python.org/specifications/simple-repository-api/.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import shutil
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from email.parser import Parser
from pathlib import Path

from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

SUFFIXES = (".whl", ".tar.gz")


def distribution_files(folder: Path) -> list[Path]:
    """Return the wheels and sdists of a folder, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES))


def write_index(folder: Path) -> Path:
    """Write ``simple/`` beside the wheels and sdists of a folder.

    Args:
        folder: Holds the files; the pages refer to them.

    Returns:
        The folder ``simple``.
    """
    simple = folder / "simple"
    shutil.rmtree(simple, ignore_errors=True)
    simple.mkdir()
    links = defaultdict(list)
    for path in distribution_files(folder):
        links[project(path)].append(_link(path))
    for name, found in links.items():
        (simple / name).mkdir()
        _write_page(simple / name / "index.html", found)
    _write_page(simple / "index.html", [f'<a href="{name}/">{name}</a>' for name in sorted(links)])
    return simple


def project(path: Path) -> str:
    """Return the normalized name of the distribution that a wheel or an sdist holds."""
    if path.suffix == ".whl":
        return canonicalize_name(parse_wheel_filename(path.name)[0])
    return canonicalize_name(parse_sdist_filename(path.name)[0])


def _link(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    python = _requires_python(path) if path.suffix == ".whl" else ""
    needs = f' data-requires-python="{html.escape(python)}"' if python else ""
    return f'<a href="../../{path.name}#sha256={digest}"{needs}>{path.name}</a>'


def _requires_python(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [
            name
            for name in archive.namelist()
            if name.count("/") == 1 and name.endswith(".dist-info/METADATA")
        ]
        return Parser().parsestr(archive.read(metadata).decode())["Requires-Python"] or ""


def _write_page(path: Path, links: Iterable[str]) -> None:
    version = '<meta name="pypi:repository-version" content="1.0">'
    body = "<br>\n".join(links)
    path.write_text(
        f"<!DOCTYPE html>\n<html><head>{version}</head><body>\n{body}\n</body></html>\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder with the wheels and sdists")
    print(write_index(parser.parse_args().folder))
