"""The folder of a run appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurenix_transfer.runs.run_folder import RUN_FILES, OutputExistsError, staged_run


def write_run(stage: Path, text: str) -> None:
    for name in RUN_FILES:
        (stage / name).write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_appears_when_the_block_ends(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    with staged_run(folder) as stage:
        write_run(stage, "new")
        assert not folder.exists()
        assert stage.parent == folder.parent
    assert contents(folder) == dict.fromkeys(RUN_FILES, "new")
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_the_old_run(error: type[BaseException], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with staged_run(folder) as stage:
        write_run(stage, "old")

    def fail() -> None:
        with staged_run(folder, overwrite=True) as stage:
            write_run(stage, "new")
            raise error

    with pytest.raises(error):
        fail()
    assert contents(folder) == dict.fromkeys(RUN_FILES, "old")
    assert list(tmp_path.iterdir()) == [folder]


def test_what_the_new_run_lacks_does_not_remain_from_the_old(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with staged_run(folder) as stage:
        write_run(stage, "old")
    (folder / "notes.txt").write_text("mine")
    with staged_run(folder, overwrite=True) as stage:
        (stage / "model.safetensors").write_text("new")
    assert contents(folder) == {"model.safetensors": "new", "notes.txt": "mine"}


def test_a_run_that_ended_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def race() -> None:
        with staged_run(folder) as slow:
            with staged_run(folder) as fast:
                write_run(fast, "fast")
            write_run(slow, "slow")

    with pytest.raises(OutputExistsError):
        race()
    assert contents(folder) == dict.fromkeys(RUN_FILES, "fast")
