"""The changelog's fragments, and the check of them."""

from __future__ import annotations

from pathlib import Path

import changelog
import pytest
from build_distributions import find_distributions

GOOD = "`lr_find`, which tries learning rates.\n"
FOLDERS = find_distributions()


@pytest.mark.parametrize("name", FOLDERS)
def test_fragments_are_well_formed(name: str) -> None:
    found = {path.name: changelog.problems_of(path) for path in changelog.fragments(FOLDERS[name])}
    assert {name: problems for name, problems in found.items() if problems} == {}


@pytest.mark.parametrize("name", FOLDERS)
def test_what_is_not_released_stands_in_fragments(name: str) -> None:
    assert changelog.problems_of_changelog(FOLDERS[name]) == []


@pytest.mark.parametrize("name", FOLDERS)
def test_each_distribution_has_the_settings(name: str) -> None:
    ours = (FOLDERS["neurenix"] / "towncrier.toml").read_text()
    theirs = (FOLDERS[name] / "towncrier.toml").read_text()
    assert theirs == ours.replace('name = "neurenix"', f'name = "{name}"')
    for kind in changelog.KINDS:
        assert f'directory = "{kind}"' in ours


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("lr-find.added.md", GOOD, "its name"),
        ("+lr-find.improved.md", GOOD, "its name"),
        ("+lr_find.added.md", GOOD, "its name"),
        ("+lr-find.added.md", "- " + GOOD, "begin with a capital"),
        ("+lr-find.added.md", "adds lr_find.\n", "begin with a capital"),
        ("+lr-find.added.md", "Adds lr_find\n", "full stop"),
        ("+lr-find.added.md", "Adds lr_find.", "one line break"),
        ("+lr-find.added.md", "Adds lr_find.\n\n", "one line break"),
        ("+lr-find.added.md", "Adds:\n- lr_find.\n", "one paragraph"),
        ("+lr-find.added.md", "Adds.\n\nMore.\n", "one paragraph"),
        ("+lr-find.added.md", "A" * 120 + ".\n", "110 characters"),
        ("+lr-find.added.md", "", "begin with a capital"),
    ],
)
def test_a_malformed_fragment_is_told(tmp_path: Path, file: str, text: str, problem: str) -> None:
    (tmp_path / file).write_text(text)
    assert problem in "; ".join(changelog.problems_of(tmp_path / file))


def test_a_good_fragment_passes(tmp_path: Path) -> None:
    (tmp_path / "+lr-find.added.md").write_text(GOOD)
    assert changelog.problems_of(tmp_path / "+lr-find.added.md") == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# Changelog\n", "must hold the line"),
        (f"## 3.0.0 (unreleased)\n\n{changelog.MARKER}", "above the marker"),
        (f"{changelog.MARKER}\n## 3.0.0 (unreleased)\n", "changelog.d/"),
        (f"{changelog.MARKER}\n- A new thing.\n", "heading of a release"),
    ],
)
def test_an_entry_in_the_changelog_itself_is_told(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "CHANGELOG.md").write_text(text)
    assert problem in "; ".join(changelog.problems_of_changelog(tmp_path))


def test_a_release_wants_its_section_and_no_fragment_left(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "3.1.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"{changelog.MARKER}\n## 3.0.0 (2026-01-01)\n")
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "changelog.d" / "+lr-find.added.md").write_text(GOOD)
    version, left = changelog.problems_of_release(tmp_path)
    assert version == "the changelog begins with 3.0.0, the version is 3.1.0"
    assert left.startswith("1 fragments are left")

    (tmp_path / "changelog.d" / "+lr-find.added.md").unlink()
    (tmp_path / "CHANGELOG.md").write_text(f"{changelog.MARKER}\n## 3.1.0 (2026-02-01)\n")
    assert changelog.problems_of_release(tmp_path) == []
