"""Which photos are trained on, which are validated on, and what their classes are.

Either ``PHOTOS/train/<class>`` and ``PHOTOS/val/<class>`` are given, or ``PHOTOS/<class>`` is
split. The sorted folders to train on define the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neurenix.data.image_folder import ImageFolder
from neurenix.data.photo_files import PhotoFolderError, class_folders, find_copies, group_identical
from neurenix_transfer.runs.splitting import (
    DEFAULT_VAL_FRACTION,
    SplitError,
    check_fraction,
    listing,
)

_NAMED = 5  # paths named in a message before it says how many more there are


@dataclass
class PhotoLayout:
    """The photos of a run, before any is decoded.

    Attributes:
        root: The folder that was given.
        train: The photos to train on.
        val: The photos to validate on, with the same classes.
        val_fraction: The share that was split off here; None where the folders gave the split.
        notes: What was decided, to be printed.
        warnings: What may be wrong, to be printed.
    """

    root: Path
    train: ImageFolder
    val: ImageFolder
    val_fraction: float | None = None
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; a label is an index into them."""
        return tuple(self.train.classes)


def find_layout(root: Path, val_fraction: float | None = None, seed: int = 0) -> PhotoLayout:
    """Find the photos to train and to validate on.

    Args:
        root: A folder that holds ``train`` and ``val``, or one folder a class.
        val_fraction: The share of photos to validate on, where the folder has no ``val``; a
            fifth by default.
        seed: Of the split.

    Raises:
        PhotoFolderError: There is no such folder, it has fewer than two classes, a class without
            a photo, or a class that only ``val`` has.
        SplitError: ``val_fraction`` is not between 0 and 1, or there is a ``val`` already.
    """
    if not root.is_dir():
        what = "it is a file" if root.exists() else "there is no such path"
        raise PhotoFolderError(
            f"no folder of photos at {root}: {what}. Expected a folder that holds train/<class>/ "
            "and val/<class>/, or one folder a class"
        )
    check_fraction(val_fraction)
    train, val = root / "train", root / "val"
    # A class may be called "train" too: then the folder holds photos, and no folders.
    if _holds_folders(train) and val.is_dir():
        if val_fraction is not None:
            raise SplitError(
                f"{root} has a folder val already, so that nothing is left to split; leave "
                f"--val-fraction out, or give {train} alone"
            )
        layout = _given_layout(root, train, val)
        used = {"train", "val"}
    elif _holds_folders(val):
        raise PhotoFolderError(
            f"{root} has a folder val, but no folder train with one folder a class in it; expected "
            f"the photos to train on in {train}"
        )
    else:
        source = train if _holds_folders(train) else root
        layout = _split_layout(root, source, val_fraction or DEFAULT_VAL_FRACTION, seed)
        used = {"train"} if source is train else set(layout.classes)
    unused = [folder.name for folder in class_folders(root) if folder.name not in used]
    if unused:
        layout.notes.append(f"not used: {', '.join(unused)} in {root}")
    return layout


def photos_to_evaluate(root: Path, classes: Sequence[str]) -> ImageFolder:
    """Find the photos to evaluate a model on: ``root/<class>``, or ``root/val/<class>``.

    Raises:
        PhotoFolderError: There is no such folder, or one of its classes is unknown to the model.
    """
    divided = _holds_folders(root / "train") and _holds_folders(root / "val")
    return ImageFolder(root / "val" if divided and "val" not in classes else root, classes=classes)


def _given_layout(root: Path, train_folder: Path, val_folder: Path) -> PhotoLayout:
    train = _training_folder(train_folder)
    val = ImageFolder(val_folder, classes=train.classes)
    copies = find_copies(train.paths, val.paths)
    warnings = _contradictions(root, train, group_identical(train.paths))
    if copies:
        pairs = [f"{b.relative_to(root)} = {a.relative_to(root)}" for a, b in copies]
        warnings.append(
            f"{len(copies)} of the {len(val)} photos of val also stand in train, which flatters "
            f"the validation: {listing(pairs, _NAMED)}"
        )
    notes = [f"train and val as the folders of {root} give them"]
    notes += _skipped(train) + _skipped(val)
    return PhotoLayout(root, train, val, None, notes, warnings)


def _split_layout(root: Path, source: Path, fraction: float, seed: int) -> PhotoLayout:
    photos = _training_folder(source)
    train, val = photos.split(fraction, seed)
    if not len(val):
        raise SplitError(
            f"{source} has no class with two different photos, so that none can be held out to "
            "validate on; add photos"
        )
    notes = [
        f"split of {source}: {fraction:g} of each class is validated on, seed {seed}, identical "
        "files on one side",
        *_skipped(photos),
    ]
    warnings = _contradictions(root, photos, group_identical(photos.paths))
    missing = [name for name, count in val.class_counts.items() if not count]
    if missing:
        none = listing(missing, _NAMED)
        warnings.append(f"too few photos to hold one out: val has none of {none}")
    return PhotoLayout(root, train, val, fraction, notes, warnings)


def _training_folder(folder: Path) -> ImageFolder:
    photos = ImageFolder(folder)
    if len(photos.classes) < 2:
        raise PhotoFolderError(
            f"{folder} holds only the class {photos.classes[0]}; expected at least two folders, "
            "one a class, with photos in them"
        )
    for name in photos.classes:
        try:
            name.encode()  # metadata and JSON are UTF-8
        except UnicodeEncodeError:
            raise PhotoFolderError(
                f"the name of the folder {name!r} in {folder} is not valid UTF-8; rename it"
            ) from None
    return photos


def _contradictions(root: Path, photos: ImageFolder, identical: Sequence[int]) -> list[str]:
    """Warn of identical files that stand in folders of different classes."""
    first: dict[int, int] = {}
    pairs = []
    for position, group in enumerate(identical):
        other = first.setdefault(group, position)
        if photos.labels[other] != photos.labels[position]:
            names = (photos.paths[index].relative_to(root) for index in (position, other))
            pairs.append(" = ".join(map(str, names)))
    if not pairs:
        return []
    return [f"identical photos stand in different classes: {listing(pairs, _NAMED)}"]


def _holds_folders(path: Path) -> bool:
    return path.is_dir() and bool(class_folders(path))


def _skipped(photos: ImageFolder) -> list[str]:
    if not photos.skipped:
        return []
    counts = ", ".join(f"{count} {extension}" for extension, count in photos.skipped.items())
    return [f"skipped in {photos.root}, being no photos: {counts}"]
