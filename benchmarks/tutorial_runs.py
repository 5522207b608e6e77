"""The runs of tutorial.py, each in a process of its own: one contender trains once.

All learn the same problem: a linear head on ResNet-18's pooled features, cross entropy, SGD with
momentum, a tenth of the rate after seven epochs, batch norms at rest where all around them is
frozen, validation after each epoch. The plain loop of PyTorch runs the whole network every epoch,
as its tutorial on transfer learning does.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine

LR, MOMENTUM = 0.005, 0.9
STEP_SIZE = 7  # epochs at one rate


def ours(options: argparse.Namespace, data: dict[str, Any]) -> tuple[float, float]:
    """Train by `fine_tune`; return the seconds it took, and the last accuracy."""
    import neurenix
    from neurenix.optim import SGD, StepLR
    from neurenix.transfer import TransferModel, fine_tune

    neurenix.manual_seed(options.seed)
    base = neurenix.models.resnet18(pretrained=options.weights or False)
    start = time.perf_counter()
    layers = ["layer4"] if options.trains == "layer4" else None
    model = TransferModel(base, neurenix.nn.Linear(512, 2), fine_tune_layers=layers)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = SGD(trained, lr=LR, momentum=MOMENTUM)
    history = fine_tune(
        model,
        optimizer,
        data["train"],
        data["train_labels"],
        data["val"],
        data["val_labels"],
        epochs=options.epochs,
        batch_size=options.batch,
        seed=options.seed,
        scheduler=StepLR(optimizer, STEP_SIZE),
        verbose=0,
    )
    return time.perf_counter() - start, history["val_accuracy"][-1]


def theirs(
    options: argparse.Namespace, data: dict[str, Any], device: str = "cpu"
) -> tuple[float, float]:
    """Train by PyTorch, all pictures on the device; return the seconds and the last accuracy."""
    import torch
    from torchvision.models import resnet18

    torch.set_num_threads(machine.use_threads(options.threads))
    torch.manual_seed(options.seed)
    network = resnet18()
    if options.weights:
        from safetensors.torch import load_file

        network.load_state_dict(load_file(options.weights))
    start = time.perf_counter()
    network.requires_grad_(False)
    network.fc = torch.nn.Linear(512, 2)
    network.eval()  # batch norms at rest
    trained = [network.fc]
    if options.trains == "layer4":
        trained.append(network.layer4.requires_grad_(True))
    layout = torch.contiguous_format if options.way == "eager" else torch.channels_last
    network = network.to(device, memory_format=layout)
    y = {part: torch.from_numpy(data[f"{part}_labels"]).to(device) for part in ("train", "val")}
    x = {  # taken from the data, so that photos in two layouts are not kept both
        part: torch.from_numpy(data.pop(part)).to(device, memory_format=layout)
        for part in ("train", "val")
    }
    rest: Any = network
    if options.way == "cached":
        whole = list(network.children())
        cut = -1 if options.trains == "head" else -3  # before fc, or before layer4
        rest = torch.nn.Sequential(*whole[cut:-1], torch.nn.Flatten(), network.fc)
        frozen = torch.nn.Sequential(*whole[:cut])
        with torch.inference_mode():
            x = {
                part: torch.cat([frozen(b) for b in photos.split(options.batch)]).clone()
                for part, photos in x.items()
            }
    optimizer = torch.optim.SGD(
        [p for p in network.parameters() if p.requires_grad], lr=LR, momentum=MOMENTUM
    )
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, STEP_SIZE)
    loss_fn = torch.nn.CrossEntropyLoss()
    accuracy = 0.0
    for _ in range(options.epochs):
        for module in trained:
            module.train()
        for index in torch.randperm(len(y["train"])).split(options.batch):
            optimizer.zero_grad()
            loss_fn(rest(x["train"][index]), y["train"][index]).backward()
            optimizer.step()
        scheduler.step()
        for module in trained:
            module.eval()
        right = 0
        with torch.inference_mode():
            for photos, labels in zip(
                x["val"].split(options.batch), y["val"].split(options.batch), strict=True
            ):
                right += int((rest(photos).argmax(1) == labels).sum())
        accuracy = right / len(y["val"])
    return time.perf_counter() - start, accuracy


def peak_mb() -> float:
    """Return the most memory that this process had, in units of 1e6 bytes.

    Linux's ``ru_maxrss`` counts the parent's memory in, from the moment between fork and exec; the
    high-water mark of the process's own memory does not.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--who", choices=("neurenix", "PyTorch"), required=True)
    parser.add_argument("--trains", choices=("head", "layer4"), required=True)
    parser.add_argument("--way", choices=("eager", "channels_last", "cached"), default="eager")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the arrays")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    options.threads = machine.use_threads(options.threads)

    import numpy as np

    data = {file.stem: np.load(file) for file in options.data.glob("*.npy")}
    run: Callable[..., tuple[float, float]] = ours if options.who == "neurenix" else theirs
    seconds, accuracy = run(options, data)
    print(json.dumps({"seconds": seconds, "accuracy": accuracy, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
