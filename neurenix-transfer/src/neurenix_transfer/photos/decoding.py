"""Decoding every photo once, before the first epoch, so that a broken one shows at once.

What is kept is the photo at the size that the model needs, as bytes: a quarter of its float32
values. What follows (scaling, normalising, augmenting) is done each time that a photo is used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurenix.data.image_folder import ImageFolder
from neurenix.data.photo_files import PhotoFolderError
from neurenix.data.photos import PhotoError, read_photo
from neurenix_transfer.runs.console import Console

Pixels = npt.NDArray[np.uint8]
Resizer = Callable[[Any], Any]

MEMORY_BUDGET_BYTES = 2 << 30
"""Decoded photos beyond this are decoded again at each use: about 14,000 of 224 x 224."""


class DecodedPhotos(Sequence[Pixels]):
    """Photos at the size that the model needs, in memory up to a budget.

    Args:
        resizer: From the pixels of a whole photo to those that are kept.
        budget_bytes: Photos are kept until they take so many bytes.

    Attributes:
        deterministic: A photo is the same at each reading.
        paths: The photos that could be read.
        in_memory: How many of them are kept.
        bytes: What those take.
    """

    deterministic = True

    def __init__(self, resizer: Resizer, budget_bytes: int = MEMORY_BUDGET_BYTES) -> None:
        self.paths: list[Path] = []
        self.in_memory = 0
        self.bytes = 0
        self._resizer = resizer
        self._budget_bytes = budget_bytes
        self._kept: list[Pixels | None] = []

    def append(self, path: Path, pixels: Pixels) -> None:
        """Take a photo in, just decoded and resized."""
        keep = self.bytes + pixels.nbytes <= self._budget_bytes
        self.paths.append(path)
        self._kept.append(pixels if keep else None)
        self.in_memory += keep
        self.bytes += pixels.nbytes if keep else 0

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        """Return the pixels of one photo, (H, W, 3)."""
        kept = self._kept[index]
        return self.decode(self.paths[index]) if kept is None else kept

    def decode(self, path: Path) -> Pixels:
        """Read a photo and resize it."""
        pixels: Pixels = np.ascontiguousarray(self._resizer(read_photo(path)))
        return pixels


@dataclass
class DecodedFolder:
    """The photos of a folder that could be read.

    Attributes:
        photos: Their pixels.
        labels: The class of each.
        broken: The error of each photo that could not be read.
    """

    photos: DecodedPhotos
    labels: list[int]
    broken: list[PhotoError]


def decode_folder(
    folder: ImageFolder, resizer: Resizer, console: Console, label: str, budget_bytes: int
) -> DecodedFolder:
    """Decode all photos of a folder; a broken one is named and skipped.

    Args:
        folder: The photos.
        resizer: From the pixels of a whole photo to those that are kept.
        console: Where broken photos and progress are shown.
        label: What the bar says.
        budget_bytes: How much memory decoded photos may take.
    """
    decoded = DecodedFolder(DecodedPhotos(resizer, budget_bytes), [], [])
    with console.progress(label, len(folder)) as step:
        outcomes = _decode_all(folder.paths, decoded.photos.decode)
        for path, number, outcome in zip(folder.paths, folder.labels, outcomes, strict=True):
            step()
            if isinstance(outcome, PhotoError):
                decoded.broken.append(outcome)
            else:
                decoded.photos.append(path, outcome)
                decoded.labels.append(number)
    for error in decoded.broken:
        console.warn(f"skipped a broken photo: {error}")
    return decoded


def check_classes(folder: ImageFolder, decoded: DecodedFolder) -> None:
    """Refuse a class of which no photo could be read.

    Raises:
        PhotoFolderError: Naming the class.
    """
    readable = set(decoded.labels)
    for label, (name, count) in enumerate(folder.class_counts.items()):
        if count and label not in readable:
            raise PhotoFolderError(
                f"the class {name} is empty: none of its {count} photos in {folder.root} can be "
                "read. Replace them, or remove the folder"
            )


def _decode_all(
    paths: Sequence[Path], decode: Callable[[Path], Pixels]
) -> Iterator[Pixels | PhotoError]:
    def outcome(path: Path) -> Pixels | PhotoError:
        try:
            return decode(path)
        except PhotoError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="neurenix-photos") as pool:
        try:
            yield from pool.map(outcome, paths)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C does not wait for the rest
            raise
