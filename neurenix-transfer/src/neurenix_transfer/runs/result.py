"""What a run of a command came to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neurenix_transfer.history import History
from neurenix_transfer.insight.evaluation import Evaluation


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        folder: Where its files are.
        history: What each epoch measured.
        evaluation: What was validated on, beside the predictions of the weights that were kept;
            None where Ctrl-C prevented it.
        interrupted: Whether Ctrl-C ended the training.
    """

    folder: Path
    history: History
    evaluation: Evaluation | None
    interrupted: bool
