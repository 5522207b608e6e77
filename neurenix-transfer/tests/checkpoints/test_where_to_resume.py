"""Which checkpoint a run goes on from, and which are kept."""

from __future__ import annotations

import shutil

import pytest

from neurenix.transfer import (
    CheckpointError,
)


def test_resuming_from_a_folder_without_a_checkpoint_starts_afresh_and_says_so(
    run, tmp_path, capsys, same
):
    through = run()
    folder = tmp_path / "new"
    resumed = run(verbose=1, checkpoint_dir=folder, resume_from_checkpoint=True)
    same(through, resumed)
    assert f"No checkpoint in {folder}: the training starts afresh" in capsys.readouterr().out
    run(verbose=1, checkpoint_dir=folder, resume_from_checkpoint=True, epochs=4)
    place = folder / "epoch-0003"
    assert f"Resumed from {place}, after epoch 3 of 4" in capsys.readouterr().out


def test_a_path_may_name_a_checkpoint_or_a_folder_of_them(run, tmp_path, same, names):
    through = run(epochs=5)
    folder = tmp_path / "run"
    run(epochs=4, checkpoint_dir=folder, save_total_limit=None)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    same(through, run(epochs=5, resume_from_checkpoint=copy))
    assert names(copy) == [f"epoch-000{number}" for number in (1, 2, 3, 4)]  # only read
    same(through, run(epochs=5, resume_from_checkpoint=str(copy / "epoch-0002")))


def test_going_back_to_an_older_checkpoint_removes_the_newer_ones(
    run, tmp_path, same, names, interrupt_in
):
    through = run(epochs=4)
    run(epochs=4, checkpoint_dir=tmp_path, save_total_limit=None)
    options = {"checkpoint_dir": tmp_path, "resume_from_checkpoint": tmp_path / "epoch-0001"}
    with pytest.raises(RuntimeError, match="interrupted"):
        run(epochs=4, callbacks=[interrupt_in(2)], **options)
    assert names(tmp_path) == ["epoch-0001", "epoch-0002"]
    same(through, run(epochs=4, checkpoint_dir=tmp_path, resume_from_checkpoint=True))


def test_a_path_that_does_not_exist_is_an_error(run, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing to resume from"):
        run(resume_from_checkpoint=tmp_path / "typo")
    with pytest.raises(ValueError, match="checkpoint_dir, which is not given"):
        run(resume_from_checkpoint=True)


def test_a_folder_with_checkpoints_is_not_written_over(run, tmp_path):
    run(checkpoint_dir=tmp_path)
    with pytest.raises(CheckpointError, match="resume_from_checkpoint=True"):
        run(checkpoint_dir=tmp_path)


@pytest.mark.parametrize("limit", [1, 2, None])
def test_save_total_limit_keeps_the_newest_and_the_best(run, tmp_path, limit, names):
    _, history = run(epochs=6, lr=1.0, checkpoint_dir=tmp_path, save_total_limit=limit)
    newest = range(1, 7) if limit is None else range(7 - limit, 7)
    kept = {*newest, history.best_epoch + 1}
    assert names(tmp_path) == [f"epoch-{number:04d}" for number in sorted(kept)]
    assert history.best_epoch < 4  # so that the best is another one


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
def test_the_limit_is_a_whole_number_of_at_least_1(run, tmp_path, limit):
    with pytest.raises((ValueError, TypeError), match="save_total_limit"):
        run(checkpoint_dir=tmp_path, save_total_limit=limit)
