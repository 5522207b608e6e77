"""What dispatch costs: an addition of 16 elements beside NumPy's own, autograd off.

So small an addition is overhead alone. Both add float32. A round is short, so that on a busy
machine most of them run undisturbed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable

import machine
import peer

LIMIT = 6.0
SIZE = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=501)
    parser.add_argument("--calls", type=int, default=200, help="additions a round")
    options = parser.parse_args()

    import numpy as np

    import neurenix

    array = np.linspace(-1, 1, SIZE, dtype=np.float32)
    x, y = neurenix.Tensor(array), neurenix.Tensor(array)
    followed = neurenix.Tensor(array, requires_grad=True)
    if (x + y).tolist() != (array + array).tolist():
        sys.exit("the answers differ: timing them would mean nothing")

    def numpy() -> None:
        for _ in range(options.calls):
            array + array

    def scalar() -> None:
        for _ in range(options.calls):
            x + 1.0

    def taped() -> None:
        for _ in range(options.calls):
            followed + y

    def untaped() -> None:
        for _ in range(options.calls):
            x + y

    def off(run: Callable[[], None]) -> Callable[[], None]:
        return neurenix.no_grad()(run)

    times = peer.measure(
        {
            "x + y": off(untaped),
            "x + 1.0": off(scalar),
            "x + y, autograd on": untaped,
            "x + y, taped": taped,
            "NumPy": numpy,
        },
        rounds=options.rounds,
    )
    # Round by round, so that a machine which is busy for a while slows both sides of a ratio.
    base = times["NumPy"].seconds
    print(f"An addition of {SIZE} elements, {options.rounds} rounds of {options.calls}:")
    for name, measured in times.items():
        ratios = [ours / theirs for ours, theirs in zip(measured.seconds, base, strict=True)]
        nanoseconds = 1e6 * measured.median_ms / options.calls
        print(
            f"  {name:<20} {nanoseconds:7.0f} ns  spread {measured.spread:4.0%}  "
            f"{statistics.median(ratios):5.2f} x NumPy"
        )
        if name == "x + y":
            overhead = statistics.median(ratios)
    print(f"  on {machine.describe()}")
    if overhead > LIMIT:
        sys.exit(f"{overhead:.2f} times NumPy's own addition is over the limit of {LIMIT:g}")


if __name__ == "__main__":
    peer.start_fairly()
    main()
