"""Every Python block of the README, the guides and the documentation site runs.

The blocks of a page run in order in one namespace, in a folder that holds the photos and the
weights which the pages speak of. What else a page takes for granted stands on the page itself, in
an HTML comment: `<!-- python`, the code, `-->`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from markdown_blocks import python_blocks

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
    *(ROOT / name / "README.md" for name in ("neurenix-core", "neurenix-transfer")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
PAGES_WITH_CODE = [page for page in PAGES if python_blocks(page)]


def identify(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES_WITH_CODE, ids=identify)
def test_code_of_page(page: Path, place: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in python_blocks(page):
        block.run(namespace)


@pytest.mark.parametrize("page", PAGES, ids=identify)
def test_no_python_hides_under_another_label(page: Path) -> None:
    """A fence without a language, or one that says something else, is not a way around the test."""
    text = page.read_text(encoding="utf-8")
    for label, body in re.findall(r"^ *```([^\n`]*)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        language = label.strip().partition(" ")[0]  # a title may follow
        assert language, f"a fence without a language: {body[:60]!r}"
        if language not in {"python", "py"}:
            assert not re.search(r"^(import \w+|from \w+(\.\w+)* import )", body, re.MULTILINE)


def test_blocks_are_found_and_failures_show_the_line_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n\n<!-- python\nx = 1\n-->\n\n- item\n\n    ```python\n    y = x + 1\n    ```\n\n"
        "## Two\n\n```python\nraise ValueError(y)\n```\n",
        encoding="utf-8",
    )
    first, second, third = python_blocks(page)
    assert (first.hidden, first.line, first.heading) == (True, 4, "One")
    assert (second.hidden, second.code, second.free_names()) == (False, "y = x + 1\n", {"x"})
    namespace: dict[str, Any] = {}
    first.run(namespace)
    second.run(namespace)
    with pytest.raises(ValueError, match="2") as raised:
        third.run(namespace)
    assert (raised.traceback[-1].lineno + 1, third.heading) == (16, "Two")
