"""Files that appear whole or not at all.

A file is written under a temporary name in the folder it belongs to, flushed to the disk, and
renamed over the old one. A reader, or a process killed at any moment, sees either the old file
or the new one, never half of either.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def atomic_file(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of ``path`` only once it is complete.

    If the block raises, the temporary file is removed and ``path`` stays as it was. A symbolic
    link is followed, so that the link survives and the file it points to is replaced.

    Args:
        path: The file to write. Its folder must exist.

    Yields:
        The open temporary file.

    Raises:
        FileNotFoundError: The folder does not exist.
        IsADirectoryError: ``path`` is a folder.
    """
    target = Path(os.path.realpath(path))
    folder = target.parent
    if not folder.is_dir():
        raise FileNotFoundError(
            f"cannot write {target}: the folder {folder} does not exist; create it first"
        )
    if target.is_dir():
        raise IsADirectoryError(f"cannot write {target}: it is a folder; give a file's name")
    # In the same folder, because a rename is atomic only within one file system. Opened by
    # hand, and not by tempfile, whose files are readable by their owner only.
    temporary = folder / f".neurenix-{secrets.token_hex(8)}.tmp"
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    sync_folder(folder)


def atomic_write(
    path: str | PathLike[str], content: bytes | str | Callable[[BinaryIO], object]
) -> None:
    """Write a file atomically.

    Args:
        path: The file to write. Its folder must exist.
        content: The bytes, the text (written as UTF-8), or a function that writes to the open
            binary file that it is given, e.g. ``figure.savefig``.
    """
    with atomic_file(path) as file:
        if isinstance(content, bytes):
            file.write(content)
        elif isinstance(content, str):
            file.write(content.encode())
        else:
            content(file)


def atomic_write_json(path: str | PathLike[str], value: Any) -> None:
    """Write a value as indented JSON, atomically.

    Args:
        path: The file to write. Its folder must exist.
        value: Dicts with string keys, lists, strings, numbers, booleans and ``None``. NaN and
            infinities are written as Python's ``json`` does, and read back by it.
    """
    atomic_write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system lets a folder be flushed."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems refuse; the rename is atomic all the same
    finally:
        os.close(descriptor)
