"""A full training step of ResNet-18: forward, cross entropy, backward, SGD with momentum.

Random weights and pictures, batch norm in training mode, nothing frozen. Ours eager and as one
compiled step, PyTorch's eager, channels_last and compiled.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import machine
import peer


def main() -> None:
    parser = peer.options(__doc__, rounds=7)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    options.threads = machine.use_threads(options.threads)

    import numpy as np
    import resnet18_ours
    import steps
    from results import Goal, Results, in_ms

    results = Results("resnet18_training.py", options.json, options.threads)
    rng = np.random.default_rng(0)
    shape = (options.batch, 3, options.size, options.size)
    pictures = rng.standard_normal(shape, dtype=np.float32)
    labels = rng.integers(0, 1000, options.batch)
    state = resnet18_ours.state(resnet18_ours.model())

    def network() -> Any:
        fresh = resnet18_ours.model()
        fresh.load_state_dict(steps.start(state))
        return fresh

    found = peer.Contenders()
    for name, compiled in {"neurenix eager": False, "neurenix step": True}.items():
        make = partial(steps.ours, network(), pictures, labels, compiled=compiled)
        found.add(name, make)
    if not options.without_peers:
        try:
            import resnet18_torch
        except ModuleNotFoundError as error:
            sys.exit(f"{error.name} is needed by the peer; --without-peers goes without")
        for name, how in {
            "PyTorch eager": {},
            "PyTorch channels_last": {"channels_last": True},
            "PyTorch compiled": {"compiled": True},
        }.items():
            theirs = resnet18_torch.model(state, options.threads)
            found.add(name, partial(steps.theirs, theirs, pictures, labels, **how))
    # From the second step on, what is rounded in the gradients is magnified by the batch norms.
    steps.check(found, results, tolerance=2e-2)

    times = peer.measure(found.ready, rounds=options.rounds, warm_ups=1, rest_s=peer.REST_S)
    results.compare(
        f"ResNet-18 training step, batch {options.batch}, {options.size}²",
        "ms an image",
        in_ms(times, options.batch),
        goals=[Goal("neurenix step", 1.5, "PyTorch channels_last")],
        gflop=resnet18_ours.STEP_GFLOP * (options.size / 224) ** 2,
    )


if __name__ == "__main__":
    peer.start_fairly()
    main()
