"""The folder that a run leaves behind: written beside its place, then moved there whole."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from neurenix.errors import NeurenixError

MODEL_FILE = "model.safetensors"
HISTORY_FILE = "history.json"
RUN_FILE = "run.json"
REPORT_FILE = "report.png"
PAGE_FILE = "report.html"
CARD_FILE = "README.md"
# The order in which they are moved: the model last of all, so that a folder that has one is whole.
RUN_FILES = (HISTORY_FILE, REPORT_FILE, PAGE_FILE, CARD_FILE, RUN_FILE, MODEL_FILE)


class OutputExistsError(NeurenixError, FileExistsError):
    """The output folder holds a run already."""


def check_output(folder: Path, overwrite: bool) -> None:
    """Refuse an output folder that holds a run, or that is no folder.

    Raises:
        OutputExistsError: It holds a run, and ``overwrite`` is false; or it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{folder} is a file, not a folder; give another --out")
    present = [name for name in RUN_FILES if (folder / name).exists()]
    if present and not overwrite:
        raise OutputExistsError(
            f"{folder} holds a run already ({', '.join(sorted(present))}). Give another --out, or "
            "--overwrite to replace it"
        )


def model_file_in(path: str | PathLike[str]) -> Path:
    """Return the file of a model that is to be written: the one in a folder, or the path itself."""
    return Path(path) / MODEL_FILE if Path(path).is_dir() else Path(path)


@contextmanager
def staged_run(folder: Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder whose files become the run when the block ends without an error.

    It lies beside ``folder``, so that moving it is one rename. It is made at once: an output that
    cannot be written shows before the training.

    Args:
        folder: Where the run is to stand. Folders above it are made.
        overwrite: Replace a run that stands there. Its other files stay.

    Raises:
        OutputExistsError: As `check_output`.
    """
    folder = Path(os.path.abspath(folder))
    check_output(folder, overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    stage = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.partial"
    stage.mkdir()
    try:
        yield stage
        if any(stage.iterdir()):
            check_output(folder, overwrite)  # another run may have ended meanwhile
            _publish(stage, folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _publish(stage: Path, folder: Path) -> None:
    if not folder.exists():
        os.rename(stage, folder)
        return
    for name in reversed(RUN_FILES):  # the model first: no folder ever mixes two runs' files
        (folder / name).unlink(missing_ok=True)
    for name in RUN_FILES:
        if (stage / name).exists():
            os.replace(stage / name, folder / name)
