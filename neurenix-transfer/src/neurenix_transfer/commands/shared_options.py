"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

RunFolder: TypeAlias = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="A folder that fine-tune wrote.", show_default=False),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Device: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Where to compute; see neurenix devices.", show_default="the best"),
]
TextColumn: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="The column of texts in a file, by name or position.",
        show_default="found by its name",
    ),
]
LabelColumn: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="The column of labels.", show_default="found by its name"),
]
