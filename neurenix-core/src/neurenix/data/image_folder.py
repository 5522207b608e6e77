"""A folder of photos with one folder a class."""

from __future__ import annotations

import difflib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from neurenix.data.dataset import Dataset, checked_index
from neurenix.data.photo_files import (
    PhotoFolderError,
    class_folders,
    group_identical,
    is_hidden,
    scan_photos,
)
from neurenix.data.photos import is_photo, read_photo
from neurenix.data.split import stratified_indices

# Names that a class hardly ever has, and the parts of a divided collection usually have.
_PARTS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})


class ImageFolder(Dataset):
    """The photos of ``root/<class>/``, read by :func:`neurenix.data.read_photo`.

    The sorted names of the folders are the classes. Photos may lie in folders below those.
    Hidden files and folders are passed over; files with other extensions are counted.

    Args:
        root: The folder.
        transform: Applied to each photo, an H x W x 3 array of RGB bytes.
        classes: The classes and their order, where they are known already: those of the photos
            that a model was trained on. A folder of another name is then an error, a class
            without a folder a warning.

    Attributes:
        classes: The names of the classes; a label is a position in this list.
        paths: The photos.
        labels: The class of each photo.
        skipped: How many files were passed over, by extension.

    Raises:
        PhotoFolderError: The folder is absent or holds no folders, a class has no photo, a folder
            is not among ``classes``, or the folders look like the parts of a divided collection
            (``train`` and ``val``) and not like classes.

    Examples:
        >>> from neurenix.data import ImageFolder
        >>> train = ImageFolder("photos/train")  # doctest: +SKIP
        >>> val = ImageFolder("photos/val", classes=train.classes)  # doctest: +SKIP
    """

    def __init__(
        self,
        root: str | PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        self.root = Path(root)
        folders = self._folders(classes)
        self.classes = list(classes) if classes is not None else [path.name for path in folders]
        self.paths: list[Path] = []
        self.labels: list[int] = []
        skipped: Counter[str] = Counter()
        empty = []
        for folder in folders:
            scan = scan_photos(folder)
            skipped.update(scan.skipped)
            self.paths += scan.photos
            self.labels += [self.classes.index(folder.name)] * len(scan.photos)
            if not scan.photos:
                empty.append(folder)
        if empty:
            names = ", ".join(f"{str(path)!r}" for path in empty)
            raise PhotoFolderError(
                f"no photo in {names}: every class needs at least one; add photos or remove the "
                f"folder{_passed_over(skipped)}"
            )
        self.skipped = dict(sorted(skipped.items()))
        self.transform = transform

    @property
    def class_to_index(self) -> dict[str, int]:
        """The label of each class."""
        return {name: label for label, name in enumerate(self.classes)}

    @property
    def class_counts(self) -> dict[str, int]:
        """The number of photos of each class."""
        counts = Counter(self.labels)
        return {name: counts[label] for label, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        """The pair (photo, label)."""
        position = checked_index(index, len(self))
        photo: Any = read_photo(self.paths[position])
        if self.transform is not None:
            photo = self.transform(photo)
        return photo, self.labels[position]

    def select(self, indices: Iterable[int]) -> ImageFolder:
        """A folder of some of these photos, with the same classes and a transform of its own."""
        positions = [checked_index(index, len(self)) for index in indices]
        chosen = object.__new__(type(self))
        chosen.__dict__.update(self.__dict__)
        chosen.paths = [self.paths[position] for position in positions]
        chosen.labels = [self.labels[position] for position in positions]
        return chosen

    def split(self, fraction: float, seed: int = 0) -> tuple[ImageFolder, ImageFolder]:
        """Set aside a fraction of each class; files of identical content stay together.

        Args:
            fraction: The part to set aside, above 0 and below 1.
            seed: The same seed and the same photos give the same parts.

        Returns:
            The larger part and the part set aside.
        """
        groups = group_identical(self.paths)
        kept, aside = stratified_indices(self.labels, fraction, seed, groups)
        return self.select(kept), self.select(aside)

    def _folders(self, classes: Sequence[str] | None) -> list[Path]:
        if not self.root.is_dir():
            what = "it is a file" if self.root.is_file() else "there is no such folder"
            raise PhotoFolderError(f"no folder of photos at {self.root}: {what}")
        folders = class_folders(self.root)
        loose = sum(
            is_photo(path) and path.is_file() and not is_hidden(path.name)
            for path in self.root.iterdir()
        )
        if not folders:
            found = f"{loose} photos" if loose else "no photos either"
            raise PhotoFolderError(
                f"{self.root} holds no folders and {found}: expected one folder a class, such as "
                f"{self.root / 'cats' / '1.jpg'}"
            )
        if loose:
            warnings.warn(
                f"{loose} photos directly in {self.root} belong to no class and are passed over",
                stacklevel=3,
            )
        names = [folder.name for folder in folders]
        if classes is None:
            if all(name.lower() in _PARTS for name in names):
                raise PhotoFolderError(
                    f"{self.root} holds {', '.join(names)}, which look like the parts of a "
                    f"divided collection: expected {self.root / names[0]}, or classes={names} if "
                    "those are the classes"
                )
            return folders
        self._check_classes(names, list(classes))
        return folders

    def _check_classes(self, names: list[str], classes: list[str]) -> None:
        if len(set(classes)) != len(classes):
            raise ValueError(f"expected classes of different names, got {classes}")
        for name in names:
            if name not in classes:
                close = difflib.get_close_matches(name, classes, n=3)
                hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
                raise PhotoFolderError(
                    f"{str(self.root / name)!r} is none of the {len(classes)} classes "
                    f"({_some(classes)}){hint}"
                )
        missing = [name for name in classes if name not in names]
        if missing:
            warnings.warn(
                f"{self.root} has no photos of {_some(missing)}: nothing is measured for "
                f"{'this class' if len(missing) == 1 else 'these classes'}",
                stacklevel=4,
            )

    def __repr__(self) -> str:
        lines = [f"{len(self)} photos of {len(self.classes)} classes in {str(self.root)!r}"]
        if self.transform is not None:
            lines.append(f"transform={self.transform!r}")
        return f"ImageFolder({', '.join(lines)})"


def _some(names: Sequence[str], limit: int = 8) -> str:
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def _passed_over(skipped: Counter[str]) -> str:
    if not skipped:
        return ""
    counts = ", ".join(f"{count} {extension}" for extension, count in sorted(skipped.items()))
    return f" (passed over for their extension: {counts})"
