"""The demo: what it prints, and in which order it works."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurenix.errors import require
from neurenix_transfer.demo.digits import Digits, load_digits
from neurenix_transfer.demo.experiment import (
    BATCH_SIZE,
    EPOCHS,
    LR,
    PER_CLASS,
    PRETRAIN_EPOCHS,
    Draw,
    compare,
    pretrain,
)
from neurenix_transfer.demo.network import DigitResNet
from neurenix_transfer.demo.picture import save_picture
from neurenix_transfer.runs.console import Console, Stopwatch, duration
from neurenix_transfer.runs.run_folder import OutputExistsError

PICTURE_FILE = "demo.png"


def run_demo(
    out: Path, *, seeds: int = 5, overwrite: bool = False, console: Console | None = None
) -> list[Draw]:
    """Pretrain, transfer, train from scratch; print both side by side, and save the picture.

    Args:
        out: The folder of the picture; it is made.
        seeds: How many draws of examples to average over.
        overwrite: Replace a picture that is there.
        console: Where lines go.

    Raises:
        OutputExistsError: The picture is there already.
        MissingDependencyError: scikit-learn or matplotlib is not installed.
    """
    console = console or Console()
    watch = Stopwatch()
    picture = out / PICTURE_FILE
    if picture.exists() and not overwrite:
        raise OutputExistsError(f"{picture} is there already; give another --out, or --overwrite")
    require("matplotlib.figure", install='pip install "neurenix[demo]"', purpose="the picture")
    # A dependency of scikit-learn's, and so there where the digits are.
    threads = require("threadpoolctl", install='pip install "neurenix[demo]"', purpose="the demo")
    known, new = load_digits()
    out.mkdir(parents=True, exist_ok=True)
    # The matrices are so small that threads would only wait for each other.
    with threads.threadpool_limits(1):
        draws = _train_both_ways(console, known, new, seeds)
    for line in table_lines(draws):
        console.line(line)
    save_picture(picture, draws, new.names)
    console.line(f"Wrote {picture}; all took {duration(watch.seconds)}")
    return draws


def _train_both_ways(console: Console, known: Digits, new: Digits, seeds: int) -> list[Draw]:
    watch = Stopwatch()
    console.line(
        f"Pretraining a ResNet of {_size(DigitResNet(len(known.names))):,} parameters on "
        f"{len(known)} handwritten digits 0 to 4, {PRETRAIN_EPOCHS} epochs"
    )
    pretrained = pretrain(known)
    console.line(f"  took {duration(watch.seconds)}")
    console.line(
        f"Learning 5 to 9 from {PER_CLASS} examples a class, from scratch and with transfer: "
        f"{EPOCHS} epochs,\nAdamW {LR:g}, batch {BATCH_SIZE}; {seeds} draws of examples, each "
        "tested on all the other digits 5 to 9"
    )
    with console.progress("Training", 2 * seeds * EPOCHS) as step:
        return [compare(pretrained, new, seed, step) for seed in range(seeds)]


def table_lines(draws: list[Draw]) -> list[str]:
    """Lay both ways out side by side: accuracy by epoch, then errors at the end."""
    lines = ["", f"{'accuracy':<22}{'from scratch':>16}{'with transfer':>16}"]
    curves = [[draw.scratch for draw in draws], [draw.transfer for draw in draws]]
    means, spreads = (
        [function([curve.accuracy for curve in curves_], axis=0) for curves_ in curves]
        for function in (np.mean, np.std)
    )
    for index, epoch in enumerate(draws[0].scratch.epochs):
        if epoch in (1, 2, 4, 8, 12, EPOCHS):
            name = f"after epoch {epoch:>2}"
            lines.append(f"{name:<22}{means[0][index]:>16.3f}{means[1][index]:>16.3f}")
    total = len(draws[0].test)
    deviations = [f"±{spread[-1]:.3f}" for spread in spreads]
    lines.append(f"{'  between draws':<22}{deviations[0]:>16}{deviations[1]:>16}")
    wrong = [f"{(1 - mean[-1]) * total:.0f} of {total}" for mean in means]
    lines.append(f"{'digits misread':<22}{wrong[0]:>16}{wrong[1]:>16}")
    better = sum(draw.transfer.accuracy[-1] > draw.scratch.accuracy[-1] for draw in draws)
    lines += [f"Transfer is ahead at the end in {better} of {len(draws)} draws", ""]
    return lines


def _size(network: DigitResNet) -> int:
    return sum(param.size for param in network.parameters())
