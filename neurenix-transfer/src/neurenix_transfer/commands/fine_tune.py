"""``neurenix fine-tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurenix_transfer.commands.shared_options import Device, LabelColumn, TextColumn


def _bases(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a base; an encoder of texts is a folder, which shells complete."""
    from neurenix.models import names

    if ctx.params.get("text"):
        return []
    return [name for name in names("photos") if name.startswith(incomplete)]


_TEXT_FILES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json")


def fine_tune(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="PHOTOS-OR-TEXTS",
            help="A folder with train/CLASS/ and val/CLASS/, or with one folder a class; with "
            "--text a csv, tsv or jsonl file.",
            show_default=False,
        ),
    ],
    text: Annotated[bool, typer.Option("--text", help="Train on texts, not on photos.")] = False,
    base: Annotated[
        str | None,
        typer.Option(
            help="The pretrained architecture: resnet18, resnet34, resnet50, resnet101 or "
            "resnet152; with --text the folder of an encoder, or its name on the Hugging Face hub.",
            show_default="resnet18; for texts all-MiniLM-L6-v2",
            autocompletion=_bases,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Pretrained weights, safetensors or PyTorch .pth.",
            show_default="the published ones, downloaded once",
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(help="How often each sample is seen.")] = 10,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The folder to write.",
            show_default="DATA-BASE in the current folder",
        ),
    ] = None,
    val_fraction: Annotated[
        float | None,
        typer.Option(
            help="The share to validate on, where the data have no val.", show_default="0.2"
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="How to train: probe, lp-ft, progressive, or auto, which finds out.",
            show_default="the head by AdamW",
        ),
    ] = None,
    unfreeze: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYERS",
            help="Layers of the base to train too, such as layer4; several with commas, or 'all'.",
            show_default="none",
        ),
    ] = None,
    lr: Annotated[float, typer.Option(help="Peak learning rate of the head.")] = 3e-3,
    base_lr: Annotated[
        float | None,
        typer.Option(
            help="Peak learning rate of unfrozen layers.", show_default="a thirtieth of --lr"
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Samples a step.")] = 32,
    seed: Annotated[int, typer.Option(help="Of everything that is random.")] = 0,
    device: Device = None,
    cache: Annotated[
        str,
        typer.Option(
            help="Where what the frozen part gives is kept: auto, memory, off, or disk, for later "
            "runs too."
        ),
    ] = "auto",
    precision: Annotated[
        str,
        typer.Option(
            help="What the frozen part computes in: float32, or the faster bfloat16 or int8, where "
            "the device has them."
        ),
    ] = "float32",
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Save the whole state of the training there, after each epoch.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint there.")
    ] = False,
    augment: Annotated[
        bool, typer.Option("--augment", help="Train on random crops and mirrorings.")
    ] = False,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would be trained, and how long it takes."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a run that DIR holds.")
    ] = False,
) -> None:
    """Fine-tune a pretrained model on a folder of photos, or with --text on a file of texts.

    Writes DIR/model.safetensors (complete, with classes and preprocessing), history.json, run.json
    and report.png. Ctrl-C keeps the best weights so far.
    """
    own: dict[str, Any] = {
        "out": out,
        "epochs": epochs,
        "val_fraction": val_fraction,
        "recipe": recipe,
        "unfreeze": tuple(_layer_names(unfreeze or [])),
        "lr": lr,
        "base_lr": base_lr,
        "batch_size": batch_size,
        "seed": seed,
        "device": device,
        "cache": cache,
        "precision": precision,
        "checkpoints": checkpoints,
        "resume": resume,
        "overwrite": overwrite,
    }
    if base is not None:
        own["base"] = base
    _check_modality(
        data,
        text,
        for_photos={"--weights": weights, "--augment": augment},
        for_texts={"--text-column": text_column, "--label-column": label_column},
    )
    if text:
        interrupted = _on_texts(
            {**own, "texts": data, "text_column": text_column, "label_column": label_column},
            dry_run,
        )
    else:
        interrupted = _on_photos(
            {**own, "photos": data, "weights": weights, "augment": augment}, dry_run
        )
    if interrupted:
        raise typer.Exit(130)


def _on_photos(options: dict[str, Any], dry_run: bool) -> bool:
    from neurenix_transfer.photos.job import describe_run, fine_tune_photos
    from neurenix_transfer.photos.options import FineTuneOptions

    asked = FineTuneOptions(**options)
    if dry_run:
        describe_run(asked)
        return False
    return fine_tune_photos(asked).interrupted


def _on_texts(options: dict[str, Any], dry_run: bool) -> bool:
    from neurenix_transfer.texts.job import describe_text_run, fine_tune_texts
    from neurenix_transfer.texts.options import TextOptions

    asked = TextOptions(**options)
    if dry_run:
        describe_text_run(asked)
        return False
    return fine_tune_texts(asked).interrupted


def _check_modality(
    data: Path, text: bool, for_photos: dict[str, Any], for_texts: dict[str, Any]
) -> None:
    """Refuse options of the other kind of data, and a file of texts without ``--text``."""
    from neurenix_transfer.runs.options import OptionError

    for name, value in (for_photos if text else for_texts).items():
        if value:
            other = "for photos, and --text was given" if text else "for texts; add --text"
            raise OptionError(f"{name} is {other}")
    if not text and data.is_file() and data.suffix.lower() in _TEXT_FILES:
        raise OptionError(f"{data} is a file, not a folder of photos; for texts add --text")


def _layer_names(values: list[str]) -> list[str]:
    """Split values at commas; a regular expression may contain them and stays whole."""
    names = []
    for value in values:
        names += [value] if value.startswith("re:") else value.split(",")
    return [name.strip() for name in names if name.strip()]
