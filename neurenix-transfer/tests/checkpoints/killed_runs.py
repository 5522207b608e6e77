"""Training runs that are killed and resumed; run by `test_resume_after_kill.py`.

``python killed_runs.py FOLDER KILLS SEED`` trains once without a break, then again and again until
it has been killed KILLS times at moments drawn from SEED, and prints what it found as JSON. The
runs are forks of this process, so that only the first pays for the imports.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

import neurenix
from neurenix import nn
from neurenix.optim import AdamW, CosineAnnealingLR, LinearWarmup
from neurenix.random import default_generator
from neurenix.transfer import (
    L2SP,
    CSVLogger,
    EarlyStopping,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TransferModel,
    fine_tune,
)

# What changes the disk; a run dies before one of these calls, or at a moment by the clock.
CALLS = ("rename", "replace", "fsync", "mkdir", "rmdir", "unlink")


def train(folder: Path, resume: bool) -> None:
    """Train a small model with everything that has a state, and write down what came out."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(50, 6)).astype(np.float32)
    labels = np.arange(50) % 3
    data[np.arange(50), labels] += 1.0
    checkpoints = folder / "checkpoints"
    neurenix.manual_seed(1)
    sizes = [nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh()]
    base = nn.Sequential(*sizes, nn.Linear(8, 5))
    # A resumed run begins with another new head, as scripts do that seed nothing.
    neurenix.manual_seed(os.getpid() if any(checkpoints.glob("epoch-*")) else 2)
    model = TransferModel(base, nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 3)))
    model.unfreeze_layers(["3"])
    groups = [
        {"params": list(base.parameters())[:-2], "lr": 0.003},
        {"params": model.get_new_layers().parameters(), "lr": 0.02},
    ]

    def thaw_and_freeze(epoch: int) -> None:
        neurenix.rand((3,))  # the state of the default generator is part of a run
        if epoch == 3:
            model.unfreeze_layers(["0", "1"])
        if epoch == 7:
            model.freeze_layers(["3"])

    history = fine_tune(
        model,
        AdamW(groups),
        data[:34],
        labels[:34],
        data[34:],
        labels[34:],
        epochs=12,
        batch_size=8,
        scheduler=lambda opt, steps: LinearWarmup(opt, 6, then=CosineAnnealingLR(opt, steps - 6)),
        callbacks=[
            EarlyStopping(patience=30),
            ReduceLROnPlateau(patience=2, factor=0.5),
            ModelCheckpoint(folder / "best.safetensors"),
            CSVLogger(folder / "log.csv"),
            thaw_and_freeze,
        ],
        clip_norm=1.0,
        class_weight="balanced",
        label_smoothing=0.05,
        mixup=0.3,
        metrics=["f1", "top2"],
        regularizer=L2SP(alpha=0.01),
        ema=0.9,
        checkpoint_dir=checkpoints,
        resume_from_checkpoint=resume,
        verbose=0,
    )
    lists = {key: values for key, values in history.items() if key != "epoch_time"}
    found = {**lists, "best_epoch": history.best_epoch, "random": default_generator().get_state()}
    neurenix.io.save_safetensors(folder / "weights.safetensors", model.state_dict())
    neurenix.io.atomic_write_json(folder / "history.json", found)


def result(folder: Path) -> dict[str, bytes]:
    """Return what a run left, bit by bit, but the times of its epochs."""
    names = ("weights.safetensors", "history.json", "best.safetensors")
    found = {name: (folder / name).read_bytes() for name in names}
    lines = (folder / "log.csv").read_text().splitlines()
    found["log.csv"] = "\n".join(line.rpartition(",")[0] for line in lines).encode()
    return found


def fork(job: Callable[[], object]) -> int:
    """Run a job in a child process, and return its number."""
    child = os.fork()
    if child:
        return child
    try:
        job()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def die_before(call: int) -> None:
    """Let this process die before so many calls that change the disk."""
    left = [call]
    for name in CALLS:
        original = getattr(os, name)

        def counted(*args, _original=original, **options):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return _original(*args, **options)

        setattr(os, name, counted)


def main(folder: Path, kills: int, seed: int) -> dict[str, object]:
    """Run through, then kill and resume; return how often, and what came out different."""
    draw = random.Random(seed)
    through, broken = folder / "through", folder / "broken"
    through.mkdir()
    broken.mkdir()
    started = time.perf_counter()
    if os.waitpid(fork(lambda: train(through, resume=False)), 0)[1]:
        raise SystemExit("the run without a break failed")
    duration = time.perf_counter() - started
    expected = result(through)
    killed, finished = 0, 0
    differing: list[str] = []
    while killed < kills or any(broken.iterdir()):
        by_clock = draw.random() < 0.5
        moment, call = draw.uniform(0, duration), draw.randrange(1, 150)

        def job(limit: int | None = None if by_clock or killed >= kills else call) -> None:
            if limit is not None:
                die_before(limit)
            train(broken, resume=True)

        child = fork(job)
        if by_clock and killed < kills:
            time.sleep(moment)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status):
            killed += 1
            continue
        if status:
            raise SystemExit("a resumed run failed")
        finished += 1
        found = result(broken)
        differing += [name for name in expected if found[name] != expected[name]]
        shutil.rmtree(broken)
        broken.mkdir()
    return {"killed": killed, "finished": finished, "differing": differing, "seconds": duration}


if __name__ == "__main__":
    report = main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.write(json.dumps(report))
