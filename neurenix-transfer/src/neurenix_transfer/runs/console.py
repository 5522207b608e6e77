"""What the commands print: lines, warnings, and a bar where there is a terminal."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO, TypeVar

Each = TypeVar("Each")


@dataclass
class Console:
    """Where lines, warnings and progress go.

    Attributes:
        quiet: Print warnings only.
        stream: Where lines go; None stands for standard output.
    """

    quiet: bool = False
    stream: TextIO | None = None

    def line(self, text: str = "") -> None:
        """Print a line."""
        if not self.quiet:
            print(text, file=self.stream or sys.stdout, flush=True)

    def warn(self, text: str) -> None:
        """Print a warning to standard error."""
        sys.stdout.flush()
        print(f"Warning: {text}", file=sys.stderr, flush=True)  # noqa: T201

    @contextmanager
    def warnings_shown(self) -> Iterator[None]:
        """Print what a block warns of as warnings of its own."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for each in caught:
            self.warn(str(each.message))

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[], None]]:
        """Show how far a loop is: a bar on a terminal, elsewhere nothing.

        Yields:
            A function to call once a step.
        """
        if self.quiet or not sys.stderr.isatty() or total == 0:
            yield lambda: None
            return
        from neurenix.errors import require

        rich_console = require("rich.console", install="pip install rich", purpose="progress bars")
        rich_progress = require(
            "rich.progress", install="pip install rich", purpose="progress bars"
        )
        bar = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TimeRemainingColumn(),
            console=rich_console.Console(stderr=True),
            transient=True,
        )
        with bar:
            task = bar.add_task(label, total=total)
            yield lambda: bar.advance(task)


def gathered(each: Iterable[Each], count: int, console: Console, label: str) -> list[Each]:
    """Return what an iterator gives, and show how far it is."""
    found = []
    with console.progress(label, count) as step:
        for one in each:
            found.append(one)
            step()
    return found


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """The seconds so far."""
        return time.perf_counter() - self._start


def duration(seconds: float) -> str:
    """Write a duration as one would say it: ``0.4 s``, ``48 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
