"""A float32 matrix product, 2048 x 2048 x 2048, beside PyTorch, NumPy and the measured peak."""

from __future__ import annotations

import sys

import machine
import peer

GOAL_OF_PEAK = 0.85


def main() -> None:
    parser = peer.options(__doc__, rounds=15)
    parser.add_argument("--size", type=int, default=2048)
    options = parser.parse_args()
    options.threads = machine.use_threads(options.threads)

    import numpy as np
    from results import Goal, Results, in_ms

    import neurenix

    results = Results("matmul.py", options.json, options.threads)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((options.size,) * 2, dtype=np.float32) for _ in range(2))
    x, y = neurenix.from_numpy(a), neurenix.from_numpy(b)
    found = {"neurenix": lambda: x @ y, "NumPy": lambda: a @ b}
    if not options.without_peers:
        try:
            import torch
        except ModuleNotFoundError as error:
            sys.exit(f"{error.name} is the peer; --without-peers goes without")
        torch.set_num_threads(options.threads)
        torch_a, torch_b = torch.from_numpy(a), torch.from_numpy(b)
        found["PyTorch"] = lambda: torch_a @ torch_b

    exact = a[:64].astype(np.float64) @ b
    for name, run in found.items():
        apart = np.abs(np.asarray(run())[:64] - exact).max() / np.abs(exact).max()
        results.remark(f"{name}: at most {apart:.1e} from the product in float64, of its range")
        if not apart < 1e-5:
            sys.exit("the products differ: timing them would mean nothing")

    times = peer.measure(found, rounds=options.rounds, rest_s=peer.REST_S)
    gflop = 2 * options.size**3 / 1e9
    allowed = results.allowed_ms(gflop, GOAL_OF_PEAK)
    results.compare(
        f"Matrix product, {options.size}³, float32",
        "ms",
        in_ms(times),
        goals=[Goal("neurenix", 1.0)],
        limits=None if allowed is None else {"neurenix": allowed},
        gflop=gflop,
    )
    if allowed is not None:
        results.remark(f"the limit is {GOAL_OF_PEAK:.0%} of the measured peak")


if __name__ == "__main__":
    peer.start_fairly()
    main()
