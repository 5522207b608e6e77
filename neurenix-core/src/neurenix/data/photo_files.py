"""Finding photos on disk: which there are, which are broken, which are copies of each other."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from neurenix.data.photos import PhotoError, is_photo, read_photo
from neurenix.errors import NeurenixError

_CHUNK_BYTES = 1 << 20
# macOS puts its resource forks there when it packs a zip file.
_LITTER = frozenset({"__MACOSX"})


class PhotoFolderError(NeurenixError, FileNotFoundError, ValueError):
    """A folder that is absent or does not hold the photos that it should."""


@dataclass(frozen=True)
class PhotoScan:
    """What a folder holds.

    Attributes:
        photos: The photos found, in a fixed order.
        skipped: How many other files there are, by extension (lower case, ``"(none)"`` without).
    """

    photos: tuple[Path, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is passed over without a word."""
    return name.startswith(".") or name in _LITTER


def scan_photos(root: str | PathLike[str]) -> PhotoScan:
    """Find the photos in a folder and in the folders below it.

    Hidden files and folders are passed over. Linked folders are followed, each only once.

    Args:
        root: The folder, or a single photo.

    Returns:
        The photos, sorted by their path, and counts of the other files.

    Raises:
        PhotoFolderError: There is no such file or folder.
    """
    root = Path(root)
    if root.is_file():
        found = [root]
    elif root.is_dir():
        found = sorted(_files_below(root), key=lambda path: path.relative_to(root).parts)
    else:
        raise PhotoFolderError(f"no folder of photos at {root}: there is no such path")
    skipped = Counter(path.suffix.lower() or "(none)" for path in found if not is_photo(path))
    return PhotoScan(tuple(path for path in found if is_photo(path)), dict(sorted(skipped.items())))


def class_folders(root: str | PathLike[str]) -> list[Path]:
    """The folders directly in ``root`` that are not hidden, sorted by name."""
    with os.scandir(root) as entries:
        names = [entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name)]
    return [Path(root, name) for name in sorted(names)]


def _files_below(root: Path) -> Iterator[Path]:
    seen = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link back up would go round for ever
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from (Path(folder, name) for name in files if not is_hidden(name))


def photo_digest(path: str | PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal: equal for identical files only."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def photos_digest(paths: Iterable[str | PathLike[str]], root: str | PathLike[str]) -> str:
    """One SHA-256 for a list of photos: their names below ``root`` and their contents.

    It does not depend on the order of the list, nor on where ``root`` lies.
    """
    lines = sorted(
        f"{Path(path).relative_to(root).as_posix()}\0{photo_digest(path)}\n" for path in paths
    )
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def group_identical(paths: Sequence[str | PathLike[str]]) -> list[int]:
    """Number the photos so that files of identical content, and only they, share a number.

    Args:
        paths: The files.

    Returns:
        One number a file, counted from 0 in order of first appearance.
    """
    sizes = [os.path.getsize(path) for path in paths]
    alone = {size for size, count in Counter(sizes).items() if count == 1}
    groups: dict[object, int] = {}
    numbers = []
    for position, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        # Only files of one size can be identical; the others need not be read.
        key: object = position if size in alone else photo_digest(path)
        numbers.append(groups.setdefault(key, len(groups)))
    return numbers


def find_copies(
    paths: Sequence[str | PathLike[str]], others: Sequence[str | PathLike[str]]
) -> list[tuple[Path, Path]]:
    """Find files of ``others`` whose content also occurs in ``paths``.

    Args:
        paths: One set of files, such as the photos to train on.
        others: Another, such as the photos to validate on.

    Returns:
        Pairs (file of ``paths``, its copy in ``others``), in the order of ``others``.
    """
    numbers = group_identical([*paths, *others])
    first: dict[int, Path] = {}
    for path, number in zip(paths, numbers, strict=False):
        first.setdefault(number, Path(path))
    return [
        (first[number], Path(other))
        for other, number in zip(others, numbers[len(paths) :], strict=True)
        if number in first
    ]


def find_broken(
    paths: Sequence[str | PathLike[str]], num_workers: int | None = None
) -> list[PhotoError]:
    """Decode every photo once, so that a broken one shows before the work begins.

    Args:
        paths: The photos.
        num_workers: Threads that decode; as many as there are processors by default.

    Returns:
        The error of each photo that cannot be read, in the order of ``paths``.
    """

    def problem(path: str | PathLike[str]) -> PhotoError | None:
        try:
            read_photo(path)
        except PhotoError as error:
            return error
        return None

    threads = num_workers or os.cpu_count() or 1
    with ThreadPoolExecutor(threads, thread_name_prefix="neurenix-photos") as pool:
        try:
            return [error for error in pool.map(problem, paths) if error is not None]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C does not wait for the rest
            raise
