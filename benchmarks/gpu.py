"""On a GPU: ResNet-18 in training and with a frozen base, and the tutorial, beside PyTorch.

float32 has TF32 allowed on both sides; bfloat16 is weights and activations. Ours eager and as one
plan, PyTorch's eager and compiled, channels_last, with cuDNN's choice of algorithms by trial. Where
there is no GPU the script says why and measures nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import machine
import peer

LR, MOMENTUM = 0.01, 0.9
DTYPES = {"float32": "float32 with TF32", "bfloat16": "bfloat16"}


def ours(state: dict[str, Any], data: tuple[Any, Any], dtype: str, way: str) -> Callable[[], float]:
    """Return our training step, or for the way ``"plan of a frozen base"`` our inference."""
    import resnet18_ours

    import neurenix

    network = resnet18_ours.model()
    network.load_state_dict({name: neurenix.Tensor(value) for name, value in state.items()})
    network.to(getattr(neurenix, dtype))
    x = neurenix.Tensor(data[0]).astype(getattr(neurenix, dtype))
    target = neurenix.Tensor(data[1])
    if way.endswith("base"):
        network.eval()
        run: Any = neurenix.compile(network, fallback="error") if "plan" in way else network

        def infer() -> float:
            with neurenix.inference_mode():
                return run(x).sum().item()

        return infer
    network.train()
    optimizer = neurenix.optim.SGD(network.parameters(), lr=LR, momentum=MOMENTUM)

    def step(x: neurenix.Tensor, target: neurenix.Tensor) -> neurenix.Tensor:
        optimizer.zero_grad()
        loss = neurenix.nn.functional.cross_entropy(network(x), target)
        loss.backward()
        optimizer.step()
        return loss.detach()

    if way == "step":
        step(x, target)  # makes the optimizer's state, which the trace needs
        step = neurenix.compile(step, fallback="error")
    return lambda: step(x, target).item()


def theirs(
    state: dict[str, Any], data: tuple[Any, Any], dtype: str, way: str
) -> Callable[[], float]:
    """Return PyTorch's training step or inference, channels_last."""
    import torch
    from torchvision.models import resnet18

    if not torch.cuda.is_available():
        raise peer.Unavailable("this PyTorch has no CUDA")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    network: Any = resnet18()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    layout: Any = {"dtype": getattr(torch, dtype), "memory_format": torch.channels_last}
    network = network.to("cuda").to(**layout)
    x, target = torch.from_numpy(data[0]).cuda().to(**layout), torch.from_numpy(data[1]).cuda()
    forward = torch.compile(network) if way.startswith("compiled") else network
    if way.endswith("base"):
        network.eval()

        def infer() -> float:
            with torch.inference_mode():
                return forward(x).float().sum().item()

        return infer
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=LR, momentum=MOMENTUM, fused=True)

    def step() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(forward(x), target)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def compare(results: Any, options: argparse.Namespace, dtype: str, base: bool) -> None:
    """Time one kind of work in one dtype."""
    import numpy as np
    import resnet18_ours
    from results import Goal, in_ms

    rng = np.random.default_rng(0)
    shape = (options.batch, 3, options.size, options.size)
    pictures = rng.standard_normal(shape, dtype=np.float32)
    data = pictures, rng.integers(0, 1000, options.batch)
    state = resnet18_ours.state(resnet18_ours.model())
    ways = (
        {"neurenix eager": "base", "neurenix plan": "plan of a frozen base"}
        if base
        else {"neurenix eager": "eager", "neurenix step": "step"}
    )
    peers = {"PyTorch": "eager", "PyTorch compiled": "compiled"}
    found = peer.Contenders()
    for name, way in ways.items():
        found.add(name, partial(ours, state, data, dtype, way))
    for name, way in {} if options.without_peers else peers.items():
        found.add(name, partial(theirs, state, data, dtype, f"{way} base" if base else way))
    for name, reason in found.left_out.items():
        results.remarks.append(f"{name} is left out: {reason}")
    first = {name: run() for name, run in found.ready.items()}
    expected = first["neurenix eager"]
    results.remark(f"{DTYPES[dtype]}: first answers {first}")
    if base and any(abs(a - expected) > 0.05 * (abs(expected) + 1) for a in first.values()):
        sys.exit("the answers differ: timing them would mean nothing")
    times = peer.measure(found.ready, rounds=options.rounds, warm_ups=5)
    plan = next(name for name in ways if name != "neurenix eager")
    work = "frozen base, inference" if base else "training step"
    results.compare(
        f"ResNet-18 on a GPU, {work}, batch {options.batch}, {DTYPES[dtype]}",
        "ms an image",
        in_ms(times, options.batch),
        goals=[Goal("neurenix eager", 1.0, "PyTorch"), Goal(plan, 1.0, "PyTorch compiled")],
    )


def tutorial(results: Any, options: argparse.Namespace) -> None:
    """Time the tutorial on transfer learning with pictures of noise: a frozen base, ten epochs."""
    import numpy as np
    import tutorial_runs
    from results import Goal

    rng = np.random.default_rng(0)
    count = options.pictures
    shape = (count, 3, options.size, options.size)
    data = {
        "train": rng.standard_normal(shape, dtype=np.float32),
        "train_labels": np.arange(count) % 2,
    }
    data |= {"val": data["train"], "val_labels": data["train_labels"]}
    asked = argparse.Namespace(
        seed=0, epochs=10, batch=32, trains="head", way="channels_last", weights=None,
        threads=options.threads,
    )  # fmt: skip
    contenders: dict[str, Callable[..., tuple[float, float]]] = {"neurenix": tutorial_runs.ours}
    if not options.without_peers:
        contenders["PyTorch loop"] = partial(tutorial_runs.theirs, device="cuda")
    seconds = {
        name: [run(asked, dict(data))[0] for _ in range(options.seeds)]
        for name, run in contenders.items()
    }
    results.compare(
        f"Tutorial on a GPU, frozen base, ten epochs of {count} pictures of noise",
        "s",
        seconds,
        goals=[Goal("neurenix", 10.0, "PyTorch loop")],
    )


def main() -> None:
    parser = peer.options(__doc__, rounds=30)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--pictures", type=int, default=244, help="of the tutorial")
    parser.add_argument("--seeds", type=int, default=3, help="how often the tutorial runs")
    options = parser.parse_args()
    os.environ["NEURENIX_DEVICE"] = options.device
    os.environ["NEURENIX_GPU_TF32"] = "1"
    options.threads = machine.use_threads(options.threads)

    import neurenix
    from neurenix.errors import DeviceError

    try:
        device = neurenix.ones((1,), device=options.device).device
    except DeviceError as error:
        print(f"Nothing is measured on {options.device}: {error}")
        return
    from results import Results

    results = Results("gpu.py", options.json, options.threads)
    info = device.backend.devices()[device.index]
    results.remark(f"{device} is {info.description}; {dict(info.details)}")
    for base in (False, True):
        for dtype in DTYPES:
            compare(results, options, dtype, base)
    tutorial(results, options)


if __name__ == "__main__":
    peer.start_fairly()
    main()
