"""``neurenix predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder that fine-tune wrote.", show_default=False),
    ],
    photos: Annotated[
        list[Path],
        typer.Argument(
            metavar="PHOTO-OR-FOLDER...",
            help="Photos, and folders to take all photos from.",
            show_default=False,
        ),
    ],
    top: Annotated[int, typer.Option(help="How many classes to name for each photo.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a table too.", show_default=False),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Where to compute; see neurenix devices.", show_default="the best"),
    ] = None,
) -> None:
    """Classify photos with a fine-tuned model.

    A broken photo is named and skipped.
    """
    from neurenix_transfer.photos.answers import predict_photos

    predict_photos(folder, photos, top=top, as_json=as_json, csv_file=csv, device=device)
