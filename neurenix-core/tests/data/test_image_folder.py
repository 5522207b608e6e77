"""Folders of photos with one folder a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurenix.data import ImageFolder, PhotoFolderError

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def fill(root: Path, *names: str) -> None:
    for shade, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in (".png", ".jpg"):
            Image.new("RGB", (4, 3), (shade, shade, shade)).save(path, format="PNG")
        else:
            path.write_bytes(b"x")


def test_sorted_folders_are_the_classes(tmp_path: Path) -> None:
    fill(tmp_path, "dogs/b.png", "cats/z.png", "dogs/a.JPG", "cats/deep/y.png", ".git/c.png")
    folder = ImageFolder(tmp_path)
    assert folder.classes == ["cats", "dogs"]
    assert folder.class_to_index == {"cats": 0, "dogs": 1}
    assert folder.class_counts == {"cats": 2, "dogs": 2}
    names = [path.relative_to(tmp_path).as_posix() for path in folder.paths]
    assert names == ["cats/deep/y.png", "cats/z.png", "dogs/a.JPG", "dogs/b.png"]
    assert folder.labels == [0, 0, 1, 1]
    assert len(folder) == 4
    photo, label = folder[1]
    assert photo.shape == (3, 4, 3)
    assert photo.dtype == np.uint8
    assert (photo == 1).all()
    assert label == 0
    assert folder[-1][1] == 1
    with pytest.raises(IndexError, match="4 samples"):
        folder[4]


def test_other_files_are_counted(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png", "a/x.gif", "a/y.GIF", "b/1.png", "b/.DS_Store", "b/notes.txt")
    assert ImageFolder(tmp_path).skipped == {".gif": 2, ".txt": 1}


def test_the_transform_is_applied_to_the_photo(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png")
    assert ImageFolder(tmp_path, transform=lambda photo: photo.shape)[0] == ((3, 4, 3), 0)


def test_given_classes_keep_their_order(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png", "b/1.png")
    folder = ImageFolder(tmp_path, classes=["b", "a"])
    assert folder.classes == ["b", "a"]
    assert folder.labels == [1, 0]


def test_an_unknown_class_is_an_error_with_a_hint(tmp_path: Path) -> None:
    fill(tmp_path, "cats/1.png", "dogs/1.png", "dgos/1.png")
    with pytest.raises(PhotoFolderError, match=r"dgos' is none of the 2 classes.*mean 'dogs'\?"):
        ImageFolder(tmp_path, classes=["cats", "dogs"])


def test_a_missing_class_is_a_warning(tmp_path: Path) -> None:
    fill(tmp_path, "cats/1.png")
    with pytest.warns(UserWarning, match="no photos of dogs"):
        folder = ImageFolder(tmp_path, classes=["cats", "dogs"])
    assert folder.class_counts == {"cats": 1, "dogs": 0}


def test_an_empty_class_is_an_error_that_names_it(tmp_path: Path) -> None:
    fill(tmp_path, "cats/1.png", "dogs/1.gif", "dogs/2.gif", "birds/.hidden.png")
    with pytest.raises(PhotoFolderError, match=r"birds'.*dogs'.*2 \.gif"):
        ImageFolder(tmp_path)


def test_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(PhotoFolderError, match="no such folder"):
        ImageFolder(tmp_path / "absent")
    with pytest.raises(FileNotFoundError):
        ImageFolder(tmp_path / "absent")
    with pytest.raises(PhotoFolderError, match="no folders and no photos either"):
        ImageFolder(tmp_path)
    fill(tmp_path, "1.png", "2.png")
    with pytest.raises(PhotoFolderError, match="no folders and 2 photos: expected one folder"):
        ImageFolder(tmp_path)
    with pytest.raises(PhotoFolderError, match="it is a file"):
        ImageFolder(tmp_path / "1.png")


def test_photos_outside_of_the_classes_are_a_warning(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png", "loose.png")
    with pytest.warns(UserWarning, match="1 photos directly in"):
        assert len(ImageFolder(tmp_path)) == 1


def test_the_folder_above_train_and_val_is_an_error(tmp_path: Path) -> None:
    fill(tmp_path, "train/a/1.png", "val/a/1.png")
    with pytest.raises(PhotoFolderError, match="train, val, which look like the parts"):
        ImageFolder(tmp_path)
    assert ImageFolder(tmp_path, classes=["train", "val"]).labels == [0, 1]


def test_select_shares_the_classes_but_not_the_transform(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png", "b/1.png", "c/1.png")
    folder = ImageFolder(tmp_path)
    part = folder.select([2, 0])
    part.transform = lambda photo: int(photo[0, 0, 0])
    assert list(part) == [(2, 2), (0, 0)]
    assert part.classes == folder.classes
    assert folder.transform is None
    assert len(folder) == 3


@pytest.mark.parametrize("seed", range(5))
def test_a_split_keeps_identical_files_on_one_side(tmp_path: Path, seed: int) -> None:
    fill(tmp_path, *(f"{name}/{number}.png" for name in "ab" for number in range(8)))
    for name in "ab":
        for number in range(0, 8, 2):  # pairs of copies
            twin = tmp_path / name / f"{number + 1}.png"
            twin.write_bytes((tmp_path / name / f"{number}.png").read_bytes())
    train, val = ImageFolder(tmp_path).split(0.25, seed=seed)
    assert val.class_counts == {"a": 2, "b": 2}
    assert train.class_counts == {"a": 6, "b": 6}
    contents = [{path.read_bytes() for path in part.paths} for part in (train, val)]
    assert not contents[0] & contents[1]


def test_repr(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png", "b/1.png")
    text = f"ImageFolder(2 photos of 2 classes in {str(tmp_path)!r})"
    assert repr(ImageFolder(tmp_path)) == text


def test_hymenoptera(assets: Path) -> None:
    train = ImageFolder(assets / "hymenoptera_data" / "train")
    val = ImageFolder(assets / "hymenoptera_data" / "val", classes=train.classes)
    assert train.classes == ["ants", "bees"]
    assert (len(train), len(val)) == (244, 153)
    assert (train.skipped, val.skipped) == ({".gif": 1}, {})
