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
    data: Annotated[
        Path,
        typer.Argument(
            metavar="PHOTOS-OR-TEXTS",
            help="A folder with one folder a class, or with train/ and val/: then val is taken; "
            "for a model of texts a csv, tsv or jsonl file.",
            show_default=False,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
    text_column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The column of texts, by name or position.",
            show_default="found by its name",
        ),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="The column of labels.", show_default="found by its name"
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Where to compute; see neurenix devices.", show_default="the best"),
    ] = None,
) -> None:
    """Measure a fine-tuned model on photos, or texts, whose classes are known.

    Prints samples and recall a class, accuracy with its 95 % interval, and balanced accuracy.
    """
    from neurenix_transfer.photos.answers import evaluate_photos
    from neurenix_transfer.texts.answers import evaluate_texts
    from neurenix_transfer.texts.model_file import is_text_model

    if is_text_model(folder):
        evaluate_texts(
            folder,
            data,
            text_column=text_column,
            label_column=label_column,
            as_json=as_json,
            device=device,
        )
        return
    evaluate_photos(folder, data, as_json=as_json, device=device)
