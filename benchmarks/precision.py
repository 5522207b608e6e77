"""What narrower numbers cost: ants and bees with the frozen part in float32, bfloat16 and int8.

A head is trained as `neurenix fine-tune` trains it, seed by seed, at each precision that the device
has. Photos are told apart three times: as they were validated while training; by the saved model,
which predicts in float32 as `neurenix predict` does; and by a compiled plan of the same precision.
Without photos, noise.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from typing import Any

import machine
import peer

BATCH = 16
CALIBRATED_ON = 128


@dataclass(frozen=True)
class Run:
    """What one training came to.

    Attributes:
        wrong: The share of photos told wrong, in percent, by how they were told.
        loss: The lowest validation loss.
        seconds: How long the training took, plans and calibration included.
    """

    wrong: dict[str, float]
    loss: float
    seconds: float


def main() -> None:
    parser = peer.options(__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how often each trains")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--noise", type=int, help="pictures of noise in the photos' place")
    parser.add_argument("--size", type=int, default=224, help="their size")
    options = parser.parse_args()
    options.threads = machine.use_threads(options.threads)

    from results import Results

    from neurenix.graph import PRECISIONS, available_precisions

    results = Results("precision.py", options.json, options.threads)
    known = available_precisions()
    for precision in PRECISIONS:
        if precision not in known:
            results.remark(f"{precision} is left out: the device has plans of {', '.join(known)}")
    weights, data = read(options, results)
    runs: dict[str, list[Run]] = {name: [] for name in PRECISIONS if name in known}
    for seed in range(options.seeds):
        for precision, found in runs.items():
            found.append(train(weights, data, precision, seed, options.epochs))
            print(f"seed {seed}, {precision}: {found[-1]}")
    for name, found in runs.items():
        for line in costs(name, found, runs["float32"]):
            results.remark(line)
    title = f"Ants and bees, frozen base, {options.epochs} epochs"
    for how in ("validated while training", "predicted afterwards, in float32",
                "predicted by a plan of the precision"):  # fmt: skip
        wrong = {f"neurenix {name}": [run.wrong[how] for run in found]
                 for name, found in runs.items()}  # fmt: skip
        results.compare(f"{title}: {len(data['val'])} photos, {how}", "% wrong", wrong)
    seconds = {f"neurenix {name}": [run.seconds for run in found] for name, found in runs.items()}
    results.compare(f"{title}: the whole training", "s", seconds)


def read(options: argparse.Namespace, results: Any) -> tuple[Any, dict[str, Any]]:
    """Return the file of the weights, if there is one, and photos with labels by part."""
    import hymenoptera
    import numpy as np

    weights = None if options.noise else hymenoptera.weights()
    data: dict[str, Any] = {}
    for part in ("train", "val"):
        if weights is None:
            count = options.noise or 64
            shape = (count, 3, options.size, options.size)
            data[part] = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
            data[f"{part}_labels"] = np.arange(count) % 2
        else:
            data[part], data[f"{part}_labels"], _ = hymenoptera.photos(part)
    if weights is None:
        results.remark("noise in the photos' place: accuracies mean nothing")
    return weights, data


def train(weights: Any, data: dict[str, Any], precision: str, seed: int, epochs: int) -> Run:
    """Train a head at one precision, and tell photos apart by it."""
    import neurenix
    from neurenix.transfer import TransferModel, fine_tune
    from neurenix_transfer.runs.model_file import new_head
    from neurenix_transfer.runs.optimizer import make_optimizer, make_schedule
    from neurenix_transfer.runs.options import RunOptions

    asked = RunOptions(epochs=epochs, seed=seed)
    neurenix.manual_seed(seed)
    base = neurenix.models.resnet18(pretrained=weights or False)
    model = TransferModel(base, new_head(base.num_features, 2))
    start = time.perf_counter()
    history = fine_tune(
        model,
        make_optimizer(model, asked),
        data["train"],
        data["train_labels"],
        data["val"],
        data["val_labels"],
        epochs=epochs,
        batch_size=asked.batch_size,
        seed=seed,
        restore_best=True,
        scheduler=make_schedule(asked),
        cache="memory",
        precision=precision,
        verbose=0,
    )
    seconds = time.perf_counter() - start
    best = history.best_epoch or 0
    narrow: dict[str, Any] = {} if precision == "float32" else {"precision": precision}
    if precision == "int8":
        narrow["calibration"] = neurenix.from_numpy(spread(data["train"]))
    plan = neurenix.compile(model, fallback="error", **narrow)
    return Run(
        {
            "validated while training": 100.0 * (1.0 - history["val_accuracy"][best]),
            "predicted afterwards, in float32": wrong(model, data),
            "predicted by a plan of the precision": wrong(plan, data),
        },
        history["val_loss"][best],
        seconds,
    )


def spread(photos: Any) -> Any:
    """Return some of the photos, from all over them."""
    return photos[:: max(len(photos) // CALIBRATED_ON, 1)][:CALIBRATED_ON]


def wrong(model: Any, data: dict[str, Any]) -> float:
    """Return the share of photos that a model tells wrong, in percent."""
    import neurenix

    photos, labels, found = data["val"], data["val_labels"], 0
    with neurenix.inference_mode():
        for start in range(0, len(photos), BATCH):
            logits = model(neurenix.from_numpy(photos[start : start + BATCH])).numpy()
            found += int((logits.argmax(axis=1) != labels[start : start + BATCH]).sum())
    return 100.0 * found / len(photos)


def costs(name: str, found: list[Run], exact: list[Run]) -> list[str]:
    """Say how accurate a precision is, and what it costs beside float32, seed by seed."""
    lines = []
    for how in found[0].wrong:
        right = statistics.mean(100.0 - run.wrong[how] for run in found)
        line = f"{name}, {how}: {right:.2f} % right"
        if found is not exact:
            points = [a.wrong[how] - b.wrong[how] for a, b in zip(found, exact, strict=True)]
            each = ", ".join(f"{value:+.2f}" for value in points)
            line += f", which costs {statistics.mean(points):.2f} points (seed by seed {each})"
        lines.append(line)
    losses = [run.loss for run in found]
    lines.append(f"{name}: validation loss {statistics.mean(losses):.4f}")
    return lines


if __name__ == "__main__":
    peer.start_fairly()
    main()
