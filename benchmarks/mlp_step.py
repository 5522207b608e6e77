"""A training step of a small head, 512 -> 256 -> 10, batch 16: overhead counts here.

Ours eager and as one compiled step, PyTorch's eager and compiled.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import machine
import peer

WIDTHS = (512, 256, 10)


def main() -> None:
    parser = peer.options(__doc__, rounds=31)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--calls", type=int, default=200, help="steps a round")
    options = parser.parse_args()
    options.threads = machine.use_threads(options.threads)

    import numpy as np
    import steps
    from results import Goal, Results, in_ms

    from neurenix import nn

    results = Results("mlp_step.py", options.json, options.threads)
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((options.batch, WIDTHS[0]), dtype=np.float32)
    labels = rng.integers(0, WIDTHS[-1], options.batch)

    def network() -> Any:
        return nn.Sequential(
            nn.Linear(WIDTHS[0], WIDTHS[1]), nn.ReLU(), nn.Linear(WIDTHS[1], WIDTHS[2])
        )

    state = {name: np.array(x.numpy()) for name, x in network().state_dict().items()}
    found = peer.Contenders()
    for name, compiled in {"neurenix eager": False, "neurenix step": True}.items():
        fresh = network()
        fresh.load_state_dict(steps.start(state))
        found.add(name, partial(steps.ours, fresh, inputs, labels, compiled=compiled))
    if not options.without_peers:
        try:
            import torch
        except ModuleNotFoundError as error:
            sys.exit(f"{error.name} is the peer; --without-peers goes without")
        torch.set_num_threads(options.threads)
        for name, compiled in {"PyTorch eager": False, "PyTorch compiled": True}.items():
            theirs = torch.nn.Sequential(
                torch.nn.Linear(WIDTHS[0], WIDTHS[1]),
                torch.nn.ReLU(),
                torch.nn.Linear(WIDTHS[1], WIDTHS[2]),
            )
            theirs.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
            found.add(name, partial(steps.theirs, theirs, inputs, labels, compiled=compiled))
    steps.check(found, results, tolerance=1e-5)

    times = peer.measure(
        found.ready, rounds=options.rounds, calls=options.calls, rest_s=peer.REST_S
    )
    microseconds = {name: [1e3 * ms for ms in values] for name, values in in_ms(times).items()}
    results.compare(
        f"Training step of {' -> '.join(map(str, WIDTHS))}, batch {options.batch}",
        "µs",
        microseconds,
        goals=[Goal("neurenix step", 2.0)],
    )


if __name__ == "__main__":
    peer.start_fairly()
    main()
