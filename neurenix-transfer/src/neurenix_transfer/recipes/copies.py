"""Which training samples are copies of each other, and so stay on one side of every fold.

A copy of what a model was trained on tells nothing of what it has learned: held out, it would make
a recipe look better than it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from neurenix.data import DataLoader, Subset, TextDataset
from neurenix.data.photo_files import group_identical
from neurenix.data.text import group_alike


def group_copies(data: Any) -> list[int] | None:
    """Number training samples so that copies share a number, as the split of a run does.

    Texts are copies where they are alike but for case and white space, photos where their files
    are identical. Other samples are not compared.

    Args:
        data: Training data in any form that `fine_tune` takes.

    Returns:
        One number a sample; None where it is not known what to compare.
    """
    if isinstance(data, DataLoader):
        return group_copies(data.dataset)
    if isinstance(data, Subset):
        groups = group_copies(data.dataset)
        return None if groups is None else [groups[index] for index in data.indices]
    if isinstance(data, TextDataset):
        return group_alike(data.texts)
    paths = _paths_of(data)
    return None if paths is None else group_identical(paths)


def _paths_of(data: Any) -> Sequence[Any] | None:
    """Return the files of photos, of a folder or of a dataset over decoded ones."""
    for holder in (data, getattr(data, "data", None)):
        paths = getattr(holder, "paths", None)
        if not isinstance(paths, Sequence) or len(paths) != len(data):
            continue
        if all(map(_is_file, paths)):
            return paths
    return None


def _is_file(path: Any) -> bool:
    return isinstance(path, str | os.PathLike) and os.path.isfile(path)
