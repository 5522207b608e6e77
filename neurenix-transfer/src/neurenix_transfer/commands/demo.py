"""``neurenix demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder to write demo.png to.")
    ] = Path("."),
    seeds: Annotated[
        int, typer.Option(min=1, help="How many draws of examples to average over.")
    ] = 5,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a demo.png that DIR holds.")
    ] = False,
) -> None:
    """Learn handwritten digits with and without transfer, side by side.

    A small ResNet is pretrained on the digits 0 to 4 and transferred to 5 to 9 with 10 examples a
    class; the same network is trained on the same examples from scratch. Takes under a minute, and
    downloads nothing.
    """
    from neurenix_transfer.demo.run import run_demo

    run_demo(out, seeds=seeds, overwrite=overwrite)
