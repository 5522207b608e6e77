"""``neurenix predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurenix_transfer.commands.shared_options import AsJson, Device, RunFolder, TextColumn


def predict(
    folder: RunFolder,
    items: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTO-FOLDER-OR-TEXT",
            help="Photos, and folders to take all photos from; for a model of texts, texts, and "
            "files of them.",
            show_default=False,
        ),
    ],
    top: Annotated[int, typer.Option(help="How many classes to name for each photo.")] = 1,
    as_json: AsJson = False,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a table too.", show_default=False),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help='Answer "unsure" where no class is as probable as this, between 0 and 1.',
            show_default=False,
        ),
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write pictures of where the model looked (Grad-CAM); for photos.",
            show_default=False,
        ),
    ] = None,
    text_column: TextColumn = None,
    device: Device = None,
) -> None:
    """Classify photos, or texts, with a fine-tuned model.

    A broken photo is named and skipped. The exit code is 0 whether answers are sure or not: with
    --min-confidence the field "unsure" says which are not.
    """
    from neurenix_transfer.photos.answers import predict_photos
    from neurenix_transfer.runs.answers import AnswerOptions
    from neurenix_transfer.runs.options import OptionError
    from neurenix_transfer.texts.answers import predict_texts
    from neurenix_transfer.texts.model_file import is_text_model

    options = AnswerOptions(top, as_json, csv, min_confidence, device)
    if not is_text_model(folder):
        predict_photos(folder, [Path(item) for item in items], options, explain)
        return
    if explain is not None:
        raise OptionError("--explain is for models of photos, and this one is of texts")
    predict_texts(folder, items, options, text_column)
