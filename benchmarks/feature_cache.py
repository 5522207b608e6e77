"""What the feature cache saves: epochs with the cache beside epochs that run the frozen part again.

The peer is the same training with ``cache="off"``, which gives bitwise the same losses. Without a
weights file and photos of one's own, random weights and random pictures cost as much.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import machine
import peer

if TYPE_CHECKING:
    import neurenix

EPOCHS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="a folder with train/<class> and val/<class>")
    parser.add_argument("--weights", type=Path, help="weights of ResNet-18")
    parser.add_argument("--limit", type=int, default=48, help="photos to train on")
    options = parser.parse_args()
    for title, layers in {"frozen base": None, "layer4 unfrozen": ["layer4"]}.items():
        compare(title, layers, options)


def compare(title: str, layers: list[str] | None, options: argparse.Namespace) -> None:
    """Train with and without the cache, and print what an epoch costs."""
    cached, printed = train(layers, options, "memory", EPOCHS)
    uncached, _ = train(layers, options, "off", 3)
    if cached["train_loss"][:3] != uncached["train_loss"]:
        sys.exit("the losses differ: timing them would mean nothing")
    first, later = cached["epoch_time"][0], median(cached["epoch_time"][1:])
    again = median(uncached["epoch_time"])
    saved = again * (EPOCHS - 1) - sum(cached["epoch_time"][1:])
    print(f"\n{title}, {options.limit} photos, {machine.describe()}")
    print(
        f"  first epoch {first:.2f} s, later ones {later:.4f} s with the cache, {again:.2f} s off"
    )
    print(
        f"  a cached epoch costs {100 * later / again:.2f} % of one without: {again / later:.1f} x"
    )
    print(f"  printed saving {printed}, measured {saved:.1f} s")


def train(
    layers: list[str] | None, options: argparse.Namespace, cache: str, epochs: int
) -> tuple[dict[str, list[float]], str]:
    """Train once; return the history and the saving that was printed."""
    import neurenix
    from neurenix.optim import AdamW
    from neurenix.transfer import TransferModel, fine_tune

    neurenix.manual_seed(0)
    base = neurenix.models.resnet18(pretrained=options.weights or False)
    data, labels = pictures(options, base)
    head = neurenix.nn.Sequential(
        neurenix.nn.LayerNorm(512, elementwise_affine=False), neurenix.nn.Linear(512, 2)
    )
    model = TransferModel(base, head, fine_tune_layers=layers)
    optimizer = AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        history = fine_tune(model, optimizer, data, labels, epochs=epochs, cache=cache)
    found = re.search(r"which saved ([^(]+) \(", out.getvalue())
    return history, found[1] if found else "nothing"


def pictures(options: argparse.Namespace, base: neurenix.nn.Module) -> tuple[Any, Any]:
    """Return what is trained on: decoded photos, or noise where there are none."""
    import numpy as np

    if options.photos is None:
        rng = np.random.default_rng(0)
        noise = rng.standard_normal((options.limit, 3, 224, 224), dtype=np.float32)
        return noise, np.arange(options.limit) % 2
    from neurenix.data import ImageFolder

    folder = ImageFolder(options.photos / "train", base.weights.transforms())
    chosen = range(0, len(folder), max(1, len(folder) // options.limit))
    samples = [folder[index] for index in chosen][: options.limit]
    return [x for x, _ in samples], np.array([int(y) for _, y in samples])


if __name__ == "__main__":
    peer.start_fairly()
    main()
