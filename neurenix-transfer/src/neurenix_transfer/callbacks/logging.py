"""Writing the history to files while training."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from neurenix.errors import MissingDependencyError, require
from neurenix_transfer.callbacks.callback import Callback

if TYPE_CHECKING:
    from neurenix_transfer.history import History


class CSVLogger(Callback):
    """Writes a line an epoch to a CSV file: the epoch, counted from 1, and what it measured.

    A run that is resumed goes on with the file: lines of epochs that it does again are cut off.

    Args:
        path: The file. Folders are made.
        append: Whether lines are added to a file that is there; otherwise it is written anew.
    """

    def __init__(self, path: str | Path, *, append: bool = False) -> None:
        self.path = Path(path)
        self.append = append
        self._file: TextIO | None = None
        self._fields: list[str] = []
        self._size: int | None = None

    def on_train_begin(self, history: History) -> None:
        """Open the file and write the names of the columns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        resumed = history.epochs > 0
        started = (self.append or resumed) and _size_of(self.path) > 0
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
            self._write(self._fields)

    def state_dict(self) -> dict[str, Any]:
        """Return how long the file is."""
        return {"size_bytes": self._size}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Cut off what was written after the checkpoint."""
        if self._file is None or state["size_bytes"] is None:
            return
        found = _size_of(self.path)
        if found < state["size_bytes"]:
            raise ValueError(
                f"{self.path} has {found} bytes, and had {state['size_bytes']} when the "
                "checkpoint was written; put it back, or log to another file without resuming"
            )
        self._file.truncate(state["size_bytes"])
        self._size = state["size_bytes"]

    def on_epoch_end(self, epoch: int, history: History) -> None:
        """Write a line, at once."""
        if self._file is not None:
            values = {"epoch": epoch + 1, **history.last()}
            self._write([values.get(field, "") for field in self._fields])

    def on_train_end(self, history: History) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, row: list[Any]) -> None:
        assert self._file is not None
        if row:
            csv.writer(self._file).writerow(row)
        self._file.flush()
        self._size = _size_of(self.path)


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
        # Of a resumed run, what was written of the epochs that it does again is thrown away.
        again = {"purge_step": history.epochs + 1} if history.epochs else {}
        self._writer = self._writer_class(str(self.log_dir), **again)

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


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


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
