"""Measures callables side by side in one run, and says on which machine."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# What forces OpenBLAS to one kernel. It is set on machines where an older OpenBLAS chooses wrongly,
# and keeps a current one from the best kernel it has: NumPy would be slowed, its peers would not.
FORCED_KERNELS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def start_fairly() -> None:
    """Start the script again without a forced OpenBLAS kernel. To be called before NumPy's import.

    OpenBLAS reads its variables when it is loaded, so taking them away later would be too late.
    """
    forced = [name for name in FORCED_KERNELS if name in os.environ]
    if not forced:
        return
    print(f"Starting again without {', '.join(forced)}: a forced OpenBLAS kernel would slow NumPy.")
    sys.stdout.flush()
    kept = {name: value for name, value in os.environ.items() if name not in FORCED_KERNELS}
    os.execve(sys.executable, [sys.executable, *sys.argv], kept)


@dataclass(frozen=True)
class Times:
    """The times that one callable took.

    Attributes:
        seconds: One a round, in order.
    """

    seconds: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        """The median, in milliseconds."""
        return 1e3 * statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """The interquartile range as a fraction of the median."""
        low, median, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / median


def measure(
    callables: Mapping[str, Callable[[], object]], *, rounds: int = 15, warm_ups: int = 3
) -> dict[str, Times]:
    """Time callables in turn, round by round, after warming each up.

    Each must return only when its work is done: on an asynchronous device it synchronises.

    Args:
        callables: A name to what it does.
        rounds: How often each is timed.
        warm_ups: How often each runs before that.
    """
    for _ in range(warm_ups):
        for run in callables.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in callables}
    order = list(callables)
    for _ in range(rounds):
        for name in order:
            start = time.perf_counter()
            callables[name]()
            seconds[name].append(time.perf_counter() - start)
        order.reverse()  # none always runs in the cache that the same other one left
    return {name: Times(tuple(values)) for name, values in seconds.items()}


def report(title: str, times: Mapping[str, Times]) -> None:
    """Print the times, and each one's ratio to the last, which is the peer."""
    *_, peer = times
    width = max(map(len, times))
    print(f"\n{title}")
    for name, measured in times.items():
        ratio = measured.median_ms / times[peer].median_ms
        relation = "the peer" if name == peer else f"{ratio:.2f} x the time of {peer}"
        print(
            f"  {name:<{width}}  median {measured.median_ms:9.2f} ms"
            f"  spread {measured.spread:4.0%}  {relation}"
        )
    print(f"  on {machine()}")


def machine() -> str:
    """Name the processor, the number of cores that we may use, and the versions."""
    import numpy

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{_processor()}, {cores} cores, {platform.system()}, "
        f"Python {platform.python_version()}, NumPy {numpy.__version__}{_blas()}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _blas() -> str:
    try:
        from threadpoolctl import threadpool_info
    except ModuleNotFoundError:
        return ""
    used = [info for info in threadpool_info() if info["user_api"] == "blas"]
    return "".join(
        f", {info['internal_api']} {info['version']} with {info.get('architecture', 'its')} kernels"
        for info in used
    )
