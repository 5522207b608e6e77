from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import pytest

from neurenix.io import atomic_write, atomic_write_json

WRITE_FOR_EVER = """
import sys
import time
from neurenix.io import atomic_file
with atomic_file(sys.argv[1]) as file:
    while True:
        file.write(b"x" * 65536)
        file.flush()
        time.sleep(0.01)
"""


def test_writes_bytes_text_and_functions(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic_write(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    atomic_write(path, "naïve")
    assert path.read_text(encoding="utf-8") == "naïve"
    atomic_write(path, lambda file: file.write(b"by function"))
    assert path.read_bytes() == b"by function"
    assert os.listdir(tmp_path) == ["file"]


def test_writes_json_that_reads_back(tmp_path: Path) -> None:
    value = {"loss": [0.5, 0.25], "classes": ["größe"], "none": None}
    atomic_write_json(tmp_path / "run.json", value)
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8")) == value


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    atomic_write_json(tmp_path / "run.json", 1)
    with pytest.raises(TypeError):
        atomic_write_json(tmp_path / "run.json", object())
    assert (tmp_path / "run.json").read_text() == "1\n"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file_alone(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write_half(file: BinaryIO) -> None:
        file.write(b"new, half")
        raise error

    with pytest.raises(error):
        atomic_write(path, write_half)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_killed_process_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    process = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(path)])
    try:
        deadline = time.monotonic() + 30
        while len(os.listdir(tmp_path)) < 2 and time.monotonic() < deadline:
            assert process.poll() is None, "the writer failed"
            time.sleep(0.01)
        assert len(os.listdir(tmp_path)) == 2, "the writer did not start"
    finally:
        process.kill()
        process.wait()
    assert path.read_bytes() == b"old"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent does not exist; create it first"):
        atomic_write(tmp_path / "absent" / "file", b"")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="give a file's name"):
        atomic_write(tmp_path, b"")


@pytest.mark.skipif(os.name == "nt", reason="permissions and links of POSIX")
def test_permissions_follow_the_umask_and_links_survive(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        atomic_write(tmp_path / "file", b"old")
    finally:
        os.umask(umask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
    (tmp_path / "link").symlink_to(tmp_path / "file")
    atomic_write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"
