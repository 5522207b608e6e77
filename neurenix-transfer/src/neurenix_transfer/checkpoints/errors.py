"""What can be wrong with checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neurenix.errors import NeurenixError

if TYPE_CHECKING:
    from neurenix_transfer.history import History


class CheckpointError(NeurenixError, RuntimeError):
    """A checkpoint that cannot be written, read or used.

    Attributes:
        history: What was measured until then, where the training had begun.
    """

    history: History | None = None


class CheckpointDamagedError(CheckpointError):
    """A checkpoint whose files are not whole.

    Args:
        path: The folder of the checkpoint.
        problem: What is wrong with it.
    """

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"the checkpoint {path} is damaged: {problem}")


class CheckpointMismatchError(CheckpointError):
    """A checkpoint of another run: other data, another model or other options.

    Args:
        path: The folder of the checkpoint.
        differences: What differs, a line each.

    Attributes:
        differences: What differs, a line each.
    """

    _SHOWN = 8

    def __init__(self, path: Path, differences: Sequence[str]) -> None:
        self.path = path
        self.differences = list(differences)
        shown = self.differences[: self._SHOWN]
        if len(self.differences) > self._SHOWN:
            shown.append(f"... and {len(self.differences) - self._SHOWN} more")
        lines = "\n  ".join(shown)
        super().__init__(
            f"the checkpoint {path} is of another run, so going on from it would give the results "
            f"of neither:\n  {lines}\nPass what the run began with, or another checkpoint_dir to "
            "start afresh"
        )
