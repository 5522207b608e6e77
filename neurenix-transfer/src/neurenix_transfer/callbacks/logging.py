"""Writing the history to files while training."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from neurenix.errors import MissingDependencyError, require
from neurenix_transfer.callbacks.callback import Callback

if TYPE_CHECKING:
    from neurenix_transfer.history import History


class CSVLogger(Callback):
    """Writes a line an epoch to a CSV file: the epoch, counted from 1, and what it measured.

    Args:
        path: The file. Folders are made.
        append: Whether lines are added to a file that is there; otherwise it is written anew.
    """

    def __init__(self, path: str | Path, *, append: bool = False) -> None:
        self.path = Path(path)
        self.append = append
        self._file: TextIO | None = None
        self._fields: list[str] = []

    def on_train_begin(self, history: History) -> None:
        """Open the file and write the names of the columns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        started = self.append and self.path.exists() and self.path.stat().st_size > 0
        self._fields = ["epoch", *history]
        if started:
            with self.path.open(newline="", encoding="utf-8") as file:
                found = next(csv.reader(file), [])
            if found != self._fields:
                raise ValueError(
                    f"{self.path} has the columns {', '.join(found)}, and this run gives "
                    f"{', '.join(self._fields)}; write to another file"
                )
        self._file = self.path.open("a" if started else "w", newline="", encoding="utf-8")
        if not started:
            csv.writer(self._file).writerow(self._fields)
            self._file.flush()

    def on_epoch_end(self, epoch: int, history: History) -> None:
        """Write a line, at once."""
        if self._file is not None:
            values = {"epoch": epoch + 1, **history.last()}
            csv.writer(self._file).writerow([values.get(field, "") for field in self._fields])
            self._file.flush()

    def on_train_end(self, history: History) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class TensorBoard(Callback):
    """Writes what each epoch measured as scalars for TensorBoard.

    Args:
        log_dir: The folder that ``tensorboard --logdir`` is given.

    Raises:
        MissingDependencyError: No package that writes TensorBoard's files is installed.
    """

    def __init__(self, log_dir: str | Path = "runs") -> None:
        self.log_dir = Path(log_dir)
        self._writer_class = _summary_writer()
        self._writer: Any = None

    def on_train_begin(self, history: History) -> None:
        """Open the event file."""
        self._writer = self._writer_class(str(self.log_dir))

    def on_epoch_end(self, epoch: int, history: History) -> None:
        """Write the newest values."""
        for key, value in history.last().items():
            self._writer.add_scalar(key, value, epoch + 1)
        self._writer.flush()

    def on_train_end(self, history: History) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _summary_writer() -> Any:
    """Return the class SummaryWriter of whichever package has one."""
    try:
        return require(
            "tensorboardX", install="pip install tensorboardX", purpose="writing for TensorBoard"
        ).SummaryWriter
    except MissingDependencyError as missing:
        try:
            return require("torch.utils.tensorboard", install="", purpose="").SummaryWriter
        except ImportError:
            raise missing from None
