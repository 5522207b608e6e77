"""Check the changelog's fragments: one file a change, which a release turns into the changelog.

    python tools/changelog.py                              # each fragment is well-formed
    python tools/changelog.py --compare-with origin/main   # each package that changed has one
    python tools/changelog.py --release neurenix-core      # its changelog is ready for a release

A fragment is ``changelog.d/+SLUG.KIND.md`` in the folder of its distribution. It holds one entry:
sentences, without the hyphen of a list.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from build_distributions import ROOT, find_distributions

KINDS = ("added", "changed", "deprecated", "removed", "fixed", "security")
NAME = re.compile(rf"\+[a-z0-9]+(-[a-z0-9]+)*\.({'|'.join(KINDS)})\.md")
MARKER = "<!-- towncrier release notes start -->\n"
LINE_LENGTH = 110


def fragments(folder: Path) -> list[Path]:
    """Return the files in the ``changelog.d`` of a distribution's folder."""
    found = sorted((folder / "changelog.d").iterdir()) if (folder / "changelog.d").is_dir() else []
    return [path for path in found if path.name != ".gitignore"]


def problems_of(fragment: Path) -> list[str]:
    """Return what is wrong with a fragment."""
    found = []
    if not NAME.fullmatch(fragment.name):
        found.append(f"its name must be +SLUG.KIND.md, where KIND is one of {', '.join(KINDS)}")
    text = fragment.read_text(encoding="utf-8")
    if not re.match(r"[A-Z`]", text):
        found.append("it must begin with a capital letter or with code")
    if not text.endswith((".\n", ".`\n")) or text.endswith("\n\n"):
        found.append("it must end with a full stop and one line break")
    if re.search(r"^\s*(#|[-*] |\d+\. |$)", text.removesuffix("\n"), flags=re.MULTILINE):
        found.append("it must be one paragraph: no heading, no list, no empty line")
    if max(map(len, text.splitlines()), default=0) > LINE_LENGTH:
        found.append(f"its lines must have at most {LINE_LENGTH} characters")
    return found


def problems_of_changelog(folder: Path) -> list[str]:
    """Return what is wrong with the CHANGELOG.md of a distribution's folder."""
    text = (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    if text.count(MARKER) != 1:
        return [f"it must hold the line {MARKER.strip()} once: releases are written below it"]
    found = []
    head, _, released = text.partition(MARKER)
    if re.search(r"^##", head, flags=re.MULTILINE):
        found.append("no release may stand above the marker")
    if re.search(r"unreleased", released, flags=re.IGNORECASE):
        found.append("what is not released stands in changelog.d/, one file a change")
    if re.match(r"\s*[^\s#]", released):
        found.append("below the marker must stand the heading of a release")
    return found


def problems_of_release(folder: Path) -> list[str]:
    """Return what keeps a distribution from being released: left fragments, another version."""
    version = version_of(folder)
    newest = re.search(
        r"^## (\S+)", (folder / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    found = []
    if newest is None or newest[1] != version:
        stands = newest[1] if newest else "no release"
        found.append(f"the changelog begins with {stands}, the version is {version}")
    if left := fragments(folder):
        found.append(f"{len(left)} fragments are left: run `towncrier build`")
    return found


def version_of(folder: Path) -> str:
    """Return the version that a distribution's folder states."""
    data = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    if "version" in data["project"]:
        return str(data["project"]["version"])
    source = folder / data["tool"]["hatch"]["version"]["path"]
    match = re.search(r'^__version__ = "(.+)"$', source.read_text(), flags=re.MULTILINE)
    if match is None:
        sys.exit(f"{source} must have a line __version__ = '...'")
    return match[1]


def packages_without_fragment(revision: str) -> list[str]:
    """Return the distributions whose sources changed since a revision, but no fragment did."""
    changed = subprocess.run(
        ["git", "diff", "--name-only", f"{revision}...HEAD"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    found = []
    for name, folder in find_distributions().items():
        inside = "" if folder == ROOT else f"{folder.relative_to(ROOT).as_posix()}/"
        sources = [f"{inside}src/"] if inside else ["pyproject.toml"]
        notes = (f"{inside}changelog.d/", f"{inside}CHANGELOG.md")
        if any(path.startswith(tuple(sources)) for path in changed) and not any(
            path.startswith(notes) for path in changed
        ):
            found.append(name)
    return found


def main() -> None:
    """Print what is wrong, a line each, and exit with 1 if there is anything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--compare-with", metavar="REVISION", help="ask for a fragment a change")
    parser.add_argument("--release", metavar="NAME", action="append", default=[])
    given = parser.parse_args()
    found = []
    count = 0
    for name, folder in find_distributions().items():
        found += [f"{name}: CHANGELOG.md: {text}" for text in problems_of_changelog(folder)]
        for fragment in fragments(folder):
            count += 1
            found += [f"{name}: {fragment.name}: {text}" for text in problems_of(fragment)]
        if name in given.release:
            found += [f"{name}: {text}" for text in problems_of_release(folder)]
    if given.compare_with:
        found += [
            f"{name}: changed since {given.compare_with}, and no fragment in changelog.d/ says how"
            for name in packages_without_fragment(given.compare_with)
        ]
    if found:
        sys.exit("\n".join(found))
    print(f"{count} changelog fragments, all well-formed")


if __name__ == "__main__":
    main()
