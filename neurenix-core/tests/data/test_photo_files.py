"""Finding photos on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from neurenix.data.photo_files import (
    PhotoFolderError,
    find_broken,
    find_copies,
    group_identical,
    photo_digest,
    photos_digest,
    scan_photos,
)


def fill(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def test_scan_sorts_photos_and_counts_the_rest(tmp_path: Path) -> None:
    fill(tmp_path, "b.JPG", "a.png", "sub/c.tiff", "sub/d.gif", "notes.txt", "e.gif", "README")
    scan = scan_photos(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in scan.photos]
    assert names == ["a.png", "b.JPG", "sub/c.tiff"]
    assert scan.skipped == {"(none)": 1, ".gif": 2, ".txt": 1}


def test_scan_passes_over_hidden_files_and_folders(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "._a.jpg", ".cache/b.jpg", "__MACOSX/c.jpg", "sub/.d.jpg")
    scan = scan_photos(tmp_path)
    assert [path.name for path in scan.photos] == ["a.jpg"]
    assert scan.skipped == {}


def test_scan_follows_links_once(tmp_path: Path) -> None:
    fill(tmp_path, "real/a.jpg")
    root = tmp_path / "root"
    root.mkdir()
    try:
        os.symlink(tmp_path / "real", root / "link")
        os.symlink(root, root / "loop")
    except OSError:
        pytest.skip("this system allows no links")
    assert [path.name for path in scan_photos(root).photos] == ["a.jpg"]


def test_scan_of_one_file(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "a.gif")
    assert scan_photos(tmp_path / "a.jpg").photos == (tmp_path / "a.jpg",)
    assert scan_photos(tmp_path / "a.gif").skipped == {".gif": 1}


def test_scan_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(PhotoFolderError, match="no such path"):
        scan_photos(tmp_path / "absent")


def test_identical_files_share_a_group(tmp_path: Path) -> None:
    for name, content in {"a": b"one", "b": b"two", "c": b"one", "d": b"three"}.items():
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / name for name in "abcd"]
    assert group_identical(paths) == [0, 1, 0, 2]
    assert photo_digest(paths[0]) == photo_digest(paths[2]) != photo_digest(paths[1])
    assert find_copies(paths[:2], paths[2:]) == [(paths[0], paths[2])]
    assert find_copies(paths[1:2], paths[3:]) == []


def test_the_digest_of_a_list_depends_on_names_and_contents_only(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        fill(tmp_path / folder, "a.jpg", "b.jpg")
    one = [tmp_path / "one" / name for name in ("a.jpg", "b.jpg")]
    two = [tmp_path / "two" / name for name in ("b.jpg", "a.jpg")]
    digest = photos_digest(one, tmp_path / "one")
    assert photos_digest(two, tmp_path / "two") == digest
    assert photos_digest(one[:1], tmp_path / "one") != digest
    one[0].write_bytes(b"other")
    assert photos_digest(one, tmp_path / "one") != digest


def test_every_broken_photo_is_found(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for path in paths:
        image.new("RGB", (4, 4)).save(path)
    for number in (4, 1):
        paths[number].write_bytes(paths[number].read_bytes()[:40])  # the header and no pixels
    errors = find_broken(paths, num_workers=3)
    assert [error.path for error in errors] == [str(paths[1]), str(paths[4])]
