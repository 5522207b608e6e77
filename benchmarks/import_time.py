"""How long `import neurenix` takes beyond NumPy's own import, in fresh interpreters."""

from __future__ import annotations

import argparse
import subprocess
import sys

import machine
import peer

LIMIT_S = 0.1
PROGRAM = """\
import time
import numpy
start = time.perf_counter()
import neurenix
print(time.perf_counter() - start)
"""


def seconds_of(program: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    seconds_of(PROGRAM)  # writes the byte code
    seconds = peer.Times(tuple(seconds_of(PROGRAM) for _ in range(rounds)))
    fastest_ms = 1e3 * min(seconds.seconds)
    print(
        f"import neurenix, beyond NumPy: fastest {fastest_ms:.1f} ms, median "
        f"{seconds.median_ms:.1f} ms, spread {seconds.spread:.0%} (limit {1e3 * LIMIT_S:.0f} ms)\n"
        f"  on {machine.describe()}"
    )
    if min(seconds.seconds) > LIMIT_S:
        sys.exit(f"{fastest_ms:.1f} ms is over the limit of {1e3 * LIMIT_S:.0f} ms")


if __name__ == "__main__":
    peer.start_fairly()
    main()
