"""``neurenix evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder that fine-tune wrote.", show_default=False),
    ],
    photos: Annotated[
        Path,
        typer.Argument(
            metavar="PHOTOS",
            help="A folder with one folder a class, or with train/ and val/: then val is taken.",
            show_default=False,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
    device: Annotated[
        str | None,
        typer.Option(help="Where to compute; see neurenix devices.", show_default="the best"),
    ] = None,
) -> None:
    """Measure a fine-tuned model on photos whose classes are known.

    Prints photos and recall a class, accuracy with its 95 % interval, and balanced accuracy.
    """
    from neurenix_transfer.photos.answers import evaluate_photos

    evaluate_photos(folder, photos, as_json=as_json, device=device)
