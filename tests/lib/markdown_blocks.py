"""Finds the Python blocks of a Markdown page and runs them as they stand."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

_BLOCK = re.compile(
    r"^(?P<indent> *)```(?:python|py)\b[^\n]*\n(?P<shown>.*?)^(?P=indent)```\s*?$"
    r"|^<!-- python\n(?P<hidden>.*?)^-->",
    flags=re.DOTALL | re.MULTILINE,
)
_HEADING = re.compile(r"^#+ +(.+?) *$", flags=re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A Python block of a page.

    Attributes:
        page: The Markdown file.
        line: The line of the file on which the code begins, from 1.
        code: The text, without the indentation that the fence itself has.
        heading: The nearest heading above.
        hidden: Whether it stands in an HTML comment, so that readers do not see it: the place for
            what an example takes for granted, such as a folder of photos.
    """

    page: Path
    line: int
    code: str
    heading: str
    hidden: bool = False

    def compiled(self) -> CodeType:
        """Compile the text so that a traceback shows the page's own lines."""
        return compile(
            "\n" * (self.line - 1) + self.code, str(self.page), "exec", dont_inherit=True
        )

    def free_names(self) -> set[str]:
        """Return the names that the block reads and binds nowhere itself."""
        read: set[str] = set()
        bound: set[str] = set(dir(builtins))
        for node in ast.walk(ast.parse(self.code)):
            if isinstance(node, ast.Name):
                (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                bound.update((name.asname or name.name).partition(".")[0] for name in node.names)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                bound.add(node.name)
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
        return read - bound

    def run(self, namespace: dict[str, Any]) -> None:
        """Run the block."""
        exec(self.compiled(), namespace)


def python_blocks(page: Path) -> list[Block]:
    """Return the Python blocks of a page, in order: fenced ones and hidden ones."""
    text = page.read_text(encoding="utf-8")
    blocks = []
    for match in _BLOCK.finditer(text):
        group = "hidden" if match["shown"] is None else "shown"
        headings = _HEADING.findall(text, 0, match.start())
        blocks.append(
            Block(
                page=page,
                line=text.count("\n", 0, match.start(group)) + 1,
                code=textwrap.dedent(match[group]),
                heading=headings[-1] if headings else "",
                hidden=group == "hidden",
            )
        )
    return blocks
