"""The transfer-learning tutorial: ants and bees, ten epochs, by `fine_tune` and by PyTorch's loop.

The clock runs from decoded pixels in memory to the last epoch's validation: plans, caches and
compilation are in it, imports and the reading of the weights are not. Each run is a process of its
own, which also tells its peak memory. Contenders take turns, seed by seed. Without photos, noise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import machine
import peer

# Our name, and the peers' names and ways, by what is trained.
CONTENDERS = {
    "head": {
        "neurenix": "eager",
        "PyTorch loop": "eager",
        "PyTorch loop, channels_last": "channels_last",
        "PyTorch, features cached by hand": "cached",
    },
    "layer4": {
        "neurenix": "eager",
        "PyTorch loop": "eager",
        "PyTorch loop, channels_last": "channels_last",
        "PyTorch, layer3 cached by hand": "cached",
    },
}
TITLES = {"head": "frozen base", "layer4": "layer4 unfrozen"}
GOALS = {
    "head": {
        "PyTorch loop": 20.0,
        "PyTorch loop, channels_last": 20.0,
        "PyTorch, features cached by hand": 2.0,
    },
    "layer4": {"PyTorch loop": 4.0, "PyTorch loop, channels_last": 4.0},
}


def main() -> None:
    parser = peer.options(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how often each trains")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--trains", nargs="+", choices=tuple(TITLES), default=tuple(TITLES))
    parser.add_argument("--noise", type=int, help="pictures of noise in the photos' place")
    parser.add_argument("--size", type=int, default=224, help="their size")
    options = parser.parse_args()
    options.threads = machine.use_threads(options.threads)

    from results import Goal, Results

    results = Results("tutorial.py", options.json, options.threads)
    with tempfile.TemporaryDirectory() as folder:
        weights = write_data(Path(folder), options, results)
        for trains in options.trains:
            found = run_all(Path(folder), weights, trains, options)
            for name, runs in found.items():
                accuracies = [run["accuracy"] for run in runs]
                results.remark(
                    f"{TITLES[trains]}, {name}: accuracy {statistics.mean(accuracies):.4f} "
                    f"({', '.join(f'{a:.4f}' for a in accuracies)})"
                )
            title = (
                f"Tutorial, {TITLES[trains]}, {options.epochs} epochs, batches of {options.batch}"
            )
            goals = [Goal("neurenix", f, name) for name, f in GOALS[trains].items()]
            results.compare(title, "s", column(found, "seconds"), goals=goals)
            results.compare(
                f"{title}: peak memory", "MB", column(found, "peak_mb"), goals=[Goal("neurenix", 1)]
            )


def column(found: dict[str, list[dict[str, float]]], key: str) -> dict[str, list[float]]:
    """Return one figure of every run, by contender."""
    return {name: [run[key] for run in runs] for name, runs in found.items()}


def write_data(folder: Path, options: argparse.Namespace, results: Any) -> Path | None:
    """Write what is learned from as arrays; return the file of the weights, if there is one."""
    import hymenoptera
    import numpy as np

    weights = None if options.noise else hymenoptera.weights()
    if weights is None:
        count, rng = options.noise or 64, np.random.default_rng(0)
        results.remark(f"{count} pictures of noise in the photos' place: accuracies mean nothing")
    for part in ("train", "val"):
        if weights is None:
            shape = (count, 3, options.size, options.size)
            pictures = rng.standard_normal(shape, dtype=np.float32)
            labels = np.arange(count) % 2
        else:
            pictures, labels, _ = hymenoptera.photos(part)
        np.save(folder / f"{part}.npy", pictures)
        np.save(folder / f"{part}_labels.npy", labels)
    return weights


def run_all(
    folder: Path, weights: Path | None, trains: str, options: argparse.Namespace
) -> dict[str, list[dict[str, float]]]:
    """Train by every contender in turn, seed by seed."""
    names = [
        name
        for name in CONTENDERS[trains]
        if name.startswith("neurenix") or not options.without_peers
    ]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for seed in range(options.seeds):
        for name in names:
            arguments = {
                "who": name.partition(" ")[0].rstrip(","),
                "way": CONTENDERS[trains][name],
                "trains": trains,
                "data": folder,
                "seed": seed,
                "epochs": options.epochs,
                "batch": options.batch,
                "threads": options.threads,
            }
            if weights is not None:
                arguments["weights"] = weights
            given = [text for key, value in arguments.items() for text in (f"--{key}", str(value))]
            program = Path(__file__).with_name("tutorial_runs.py")
            done = subprocess.run(
                [sys.executable, program, *given], stdout=subprocess.PIPE, text=True, check=False
            )
            if done.returncode:
                sys.exit(f"{name} failed, see above")
            run = json.loads(done.stdout.splitlines()[-1])
            print(f"{TITLES[trains]}, seed {seed}, {name}: {run}")
            found[name].append(run)
    return found


if __name__ == "__main__":
    peer.start_fairly()
    main()
