"""``neurenix fine-tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def fine_tune(
    photos: Annotated[
        Path,
        typer.Argument(
            metavar="PHOTOS",
            help="A folder with train/CLASS/ and val/CLASS/, or with one folder a class.",
            show_default=False,
        ),
    ],
    base: Annotated[str, typer.Option(help="The pretrained architecture.")] = "resnet18",
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Pretrained weights, safetensors or PyTorch .pth.",
            show_default="the published ones, downloaded once",
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(help="How often each photo is seen.")] = 10,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The folder to write.",
            show_default="PHOTOS-BASE in the current folder",
        ),
    ] = None,
    val_fraction: Annotated[
        float | None,
        typer.Option(help="The share to validate on, where PHOTOS has no val.", show_default="0.2"),
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
    batch_size: Annotated[int, typer.Option(help="Photos a step.")] = 32,
    seed: Annotated[int, typer.Option(help="Of everything that is random.")] = 0,
    device: Annotated[
        str | None,
        typer.Option(help="Where to compute; see neurenix devices.", show_default="the best"),
    ] = None,
    augment: Annotated[
        bool, typer.Option("--augment", help="Train on random crops and mirrorings.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would be trained, and how long it takes."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a run that DIR holds.")
    ] = False,
) -> None:
    """Fine-tune a pretrained model on a folder of photos.

    Writes DIR/model.safetensors (complete, with classes and preprocessing), history.json, run.json
    and report.png. Ctrl-C keeps the best weights so far.
    """
    from neurenix_transfer.photos.job import describe_run, fine_tune_photos
    from neurenix_transfer.photos.options import FineTuneOptions

    options = FineTuneOptions(
        photos=photos,
        base=base,
        weights=weights,
        out=out,
        epochs=epochs,
        val_fraction=val_fraction,
        unfreeze=tuple(_layer_names(unfreeze or [])),
        lr=lr,
        base_lr=base_lr,
        batch_size=batch_size,
        seed=seed,
        device=device,
        augment=augment,
        overwrite=overwrite,
    )
    if dry_run:
        describe_run(options)
    elif fine_tune_photos(options).interrupted:
        raise typer.Exit(130)


def _layer_names(values: list[str]) -> list[str]:
    """Split values at commas; a regular expression may contain them and stays whole."""
    names = []
    for value in values:
        names += [value] if value.startswith("re:") else value.split(",")
    return [name.strip() for name in names if name.strip()]
