"""``neurenix export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurenix_transfer.commands.shared_options import RunFolder


def export(
    folder: RunFolder,
    to: Annotated[
        str,
        typer.Option(
            metavar="TARGET",
            help='What to write: "web", a page that runs the model in a browser.',
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to write it.", show_default="DIR-TARGET"),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The page's heading.", show_default="of the classes"),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help='Answer "unsure" where no class is as probable as this, between 0 and 1.',
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an export that stands there.")
    ] = False,
) -> None:
    """Write a fine-tuned model of photos for use elsewhere, such as in a browser.

    With --to web the folder holds a page and all that it needs. Any web server can serve it; to
    try it, run python -m http.server in it and open http://localhost:8000.
    """
    from neurenix_transfer.photos.exporting import export_photos
    from neurenix_transfer.runs.options import OptionError
    from neurenix_transfer.texts.model_file import is_text_model

    if is_text_model(folder):
        raise OptionError("export is for models of photos, and this one is of texts")
    export_photos(folder, to, out, title=title, min_confidence=min_confidence, overwrite=overwrite)
