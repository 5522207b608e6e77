"""A folder of checkpoints, each of which is there whole or not at all.

A checkpoint is a folder of its own, ``epoch-0012`` after twelve epochs, with the files
``tensors.safetensors`` and ``state.json``. It is written under another name, flushed to the disk
and then renamed, so that a process killed at any moment leaves complete checkpoints only. The state
holds a checksum of the tensors: what a disk damages later is found out.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from neurenix import Tensor
from neurenix.io import WeightsFileError, atomic_write_json, load_safetensors, save_safetensors
from neurenix.io.atomic import sync_folder
from neurenix_transfer.checkpoints.errors import CheckpointDamagedError, CheckpointError
from neurenix_transfer.checkpoints.packing import pack, unpack

STATE = "state.json"
TENSORS = "tensors.safetensors"

_NAME = re.compile(r"epoch-(\d{4,})")
_UNFINISHED = ".unfinished-"  # being written, or being removed
_FORMAT = 1


class CheckpointFolder:
    """Checkpoints in a folder, held by one run at a time.

    Args:
        path: The folder; it is made if it is not there.

    Raises:
        CheckpointError: Nothing can be written there, or another run holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock: BinaryIO | None = open(path / ".lock", "ab")  # noqa: SIM115
        except OSError as error:
            raise CheckpointError(
                f"checkpoints cannot be written to {path}: {error.strerror or error}. Choose a "
                "folder that can be written to as checkpoint_dir"
            ) from error
        try:
            _hold(self._lock, path)
        except BaseException:
            self.close()
            raise
        for left in path.glob(f"{_UNFINISHED}*"):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)

    def close(self) -> None:
        """Let other runs have the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def write(self, epochs: int, state: Mapping[str, Any]) -> Path:
        """Write a checkpoint, in place of an older one of as many epochs.

        Args:
            epochs: How many epochs are done.
            state: What `neurenix_transfer.checkpoints.packing` can write.

        Raises:
            CheckpointError: It cannot be written; nothing has changed then.
        """
        target = self.path / f"epoch-{epochs:04d}"
        temporary = self.path / f"{_UNFINISHED}{secrets.token_hex(8)}"
        tensors: dict[str, Tensor] = {}
        packed = pack(state, tensors)
        try:
            temporary.mkdir()
            save_safetensors(temporary / TENSORS, tensors)
            checksum = _checksum(temporary / TENSORS)
            content = {"format": _FORMAT, "tensors_crc32": checksum, "state": packed}
            atomic_write_json(temporary / STATE, content)
            if target.exists():
                self._remove(target)
            os.rename(temporary, target)
            sync_folder(self.path)
        except BaseException as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if not isinstance(error, OSError):
                raise
            raise CheckpointError(
                f"the checkpoint {target} could not be written: {error.strerror or error}. "
                "The training ends here; older checkpoints are as they were, so it can be "
                "resumed once there is room"
            ) from error
        return target

    def prune(self, newest: int, limit: int | None, keep: Iterable[int]) -> None:
        """Remove checkpoints that are no longer wanted.

        Those of more epochs than the newest go in any case: they were left by a run that has been
        taken back to an older one.

        Args:
            newest: How many epochs the newest checkpoint has.
            limit: How many of the newest stay; None for all.
            keep: The epochs of others that stay.
        """
        found = checkpoints_in(self.path)
        numbers = sorted(number for number in found if number <= newest)
        staying = {*(numbers if limit is None else numbers[-limit:]), *keep}
        for number, path in found.items():
            if number > newest or number not in staying:
                with suppress(OSError):  # one too many does no harm
                    self._remove(path)

    def _remove(self, path: Path) -> None:
        """Remove a checkpoint, so that no half of it is ever taken for one."""
        away = self.path / f"{_UNFINISHED}{secrets.token_hex(8)}"
        os.rename(path, away)
        shutil.rmtree(away, ignore_errors=True)


def checkpoints_in(path: Path) -> dict[int, Path]:
    """Return the checkpoints of a folder by their number of epochs, the newest first."""
    if not path.is_dir():
        return {}
    named = ((_NAME.fullmatch(each.name), each) for each in path.iterdir())
    found = {int(match[1]): each for match, each in named if match and each.is_dir()}
    return dict(sorted(found.items(), reverse=True))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        CheckpointDamagedError: A file is missing, cut off or changed.
        CheckpointError: A newer version of Neurenix wrote it.
    """
    try:
        content = json.loads((path / STATE).read_text(encoding="utf-8"))
        written = content["format"]
        packed, checksum = content["state"], content["tensors_crc32"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointDamagedError(path, f"{STATE} cannot be read ({error})") from error
    if written != _FORMAT:
        raise CheckpointError(
            f"the checkpoint {path} has the format {written}, and this version of Neurenix reads "
            f"format {_FORMAT}; resume with the version that wrote it"
        )
    try:
        tensors = load_safetensors(path / TENSORS)
        if _checksum(path / TENSORS) != checksum:
            raise CheckpointDamagedError(path, f"{TENSORS} has changed since it was written")
        state: dict[str, Any] = unpack(packed, tensors)
    except (OSError, WeightsFileError, KeyError) as error:
        raise CheckpointDamagedError(path, f"{TENSORS} cannot be read ({error})") from error
    return state


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return value


def _hold(lock: BinaryIO, path: Path) -> None:
    """Hold a folder until the process ends, where the system has such locks.

    Raises:
        CheckpointError: Another run holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CheckpointError(
            f"another run is writing its checkpoints to {path}; give each a folder of its own"
        ) from error
    except OSError:
        pass  # some network file systems have no locks
