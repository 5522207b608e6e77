"""``neurenix evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurenix_transfer.commands.shared_options import (
    AsJson,
    Device,
    LabelColumn,
    RunFolder,
    TextColumn,
)


def evaluate(
    folder: RunFolder,
    data: Annotated[
        Path,
        typer.Argument(
            metavar="PHOTOS-OR-TEXTS",
            help="A folder with one folder a class, or with train/ and val/: then val is taken; "
            "for a model of texts a csv, tsv or jsonl file.",
            show_default=False,
        ),
    ],
    as_json: AsJson = False,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    device: Device = None,
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
