"""Measures callables side by side in one run."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine import start_fairly

__all__ = ["REST_S", "Contenders", "Times", "Unavailable", "measure", "options", "start_fairly"]

# Long enough for the threads of any of these libraries to give up waiting for more work: those of
# OpenBLAS wait in a loop for 30 ms or so, and would take a core from whoever is measured next.
REST_S = 0.1

OURS = "neurenix"  # what the names of our contenders start with


def options(
    description: str | None, *, rounds: int = 15, peers_optional: bool = True
) -> argparse.ArgumentParser:
    """Return a parser with the options that every comparison has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, help="threads of each library; default: all cores")
    parser.add_argument("--json", type=Path, help="a file for the figures, which report.py reads")
    if peers_optional:
        parser.add_argument("--without-peers", action="store_true", help="measure Neurenix alone")
    return parser


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
    callables: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 15,
    warm_ups: int = 3,
    calls: int = 1,
    rest_s: float = 0.0,
) -> dict[str, Times]:
    """Time callables in turn, round by round, after warming each up.

    Each must return only when its work is done: on an asynchronous device it synchronises.

    Args:
        callables: A name to what it does.
        rounds: How often each is timed.
        warm_ups: How often each runs before that.
        calls: How often each runs in a round, which counts as one time, its mean.
        rest_s: A pause before each turn, such as `REST_S`, for the threads of the turn before to
            stop waiting in a loop for more work. A call that is not timed follows it.
    """
    for _ in range(warm_ups):
        for run in callables.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in callables}
    order = list(callables)
    for _ in range(rounds):
        for name in order:
            run = callables[name]
            if rest_s:
                time.sleep(rest_s)
                run()
            start = time.perf_counter()
            for _ in range(calls):
                run()
            seconds[name].append((time.perf_counter() - start) / calls)
        order.reverse()  # none always runs in the cache that the same other one left
    return {name: Times(tuple(values)) for name, values in seconds.items()}


class Unavailable(Exception):
    """A contender cannot be measured here; the message says why."""


@dataclass
class Contenders:
    """What can be measured here; and what cannot, with the reason.

    Attributes:
        ready: A name to what was made.
        left_out: A name to why it is not measured.
    """

    ready: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, make: Callable[[], Any]) -> None:
        """Make one. A peer that cannot be made is left out, and said to be; ours must not fail."""
        try:
            self.ready[name] = make()
        except (ModuleNotFoundError, Unavailable) as error:
            reason = str(error)
        except Exception as error:  # whatever a peer raises, such as for want of a compiler
            if name.startswith(OURS):
                raise
            first_line, _, _ = str(error).strip().partition("\n")
            reason = f"{type(error).__name__}: {first_line}"
        else:
            return
        self.left_out[name] = reason
        print(f"{name} is left out: {reason}")
