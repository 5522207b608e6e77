"""What a training run prints."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from neurenix_transfer.history import History

_BAR_INTERVAL = 0.1  # seconds between redraws; more often only costs time


class Progress:
    """Prints a line an epoch, and on a terminal a bar within it.

    Args:
        verbose: 0 prints nothing; 1 prints lines, and draws a bar on a terminal; 2 prints lines
            with everything that was measured, and draws no bar.
        epochs: How many epochs there will be.
        stream: Where to; standard output by default.
    """

    def __init__(self, verbose: int, epochs: int, stream: TextIO | None = None) -> None:
        if verbose not in (0, 1, 2):
            raise ValueError(f"verbose is 0, 1 or 2; got {verbose!r}")
        self.verbose = int(verbose)
        self.epochs = epochs
        self.stream = sys.stdout if stream is None else stream
        self._bar = verbose == 1 and _is_terminal(self.stream)
        self._drawn = False
        self._next_draw = 0.0
        self._started = 0.0

    def say(self, line: str) -> None:
        """Print a line, unless nothing is to be printed."""
        if self.verbose:
            self._clear()
            self._write(line + "\n")

    def epoch_begin(self) -> None:
        """Start the clock of an epoch's bar."""
        self._started = time.perf_counter()
        self._next_draw = self._started + _BAR_INTERVAL

    def batch(self, epoch: int, done: int, steps: int | None) -> None:
        """Draw the bar of an epoch, if there is one and it is time to."""
        self.step(f"Epoch {epoch + 1}/{self.epochs}", done, steps)

    def step(self, what: str, done: int, steps: int | None) -> None:
        """Draw the bar of something that goes on, if there is one and it is time to.

        Args:
            what: What goes on, the words before the bar.
            done: How many of its batches are done.
            steps: How many there are; None where that cannot be known.
        """
        now = time.perf_counter()
        if not self._bar or now < self._next_draw:
            return
        self._next_draw = now + _BAR_INTERVAL
        head = f"{what} "
        if steps is None:
            text = f"{head}{done} batches"
        else:
            width = 30
            full = width * done // steps
            left = (now - self._started) * (steps - done) / done
            text = f"{head}[{'=' * full}{' ' * (width - full)}] {done}/{steps} - {left:.0f} s left"
        self._clear()
        self._write(text[: shutil.get_terminal_size().columns - 1])
        self._drawn = True

    def done(self) -> None:
        """Wipe the bar away."""
        self._clear()

    def epoch_end(self, epoch: int, history: History) -> None:
        """Print the line of an epoch."""
        self.say(self.line(epoch, history))

    def line(self, epoch: int, history: History) -> str:
        """Return the line of an epoch: ``Epoch 1/5 - loss: 0.3 - val_loss: 0.2 - ...``."""
        last = history.last()
        shown = {"loss": last["train_loss"]}
        validated = "val_loss" in last
        if self.verbose == 2 or not validated:
            shown |= {name: last[f"train_{name}"] for name in history.metrics}
        for key in ("val_loss", *(f"val_{name}" for name in history.metrics)):
            if key in last:
                shown[key] = last[key]
        parts = [f"{key}: {value:.4f}" for key, value in shown.items()]
        if self.verbose == 2:
            parts += [f"lr: {last['lr']:.3g}", f"time: {last['epoch_time']:.1f} s"]
        return " - ".join([f"Epoch {epoch + 1}/{self.epochs}", *parts])

    def _clear(self) -> None:
        if self._drawn:
            self._write("\r\033[K")
            self._drawn = False

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


def _is_terminal(stream: TextIO) -> bool:
    isatty = getattr(stream, "isatty", None)
    return bool(isatty is not None and isatty())
