"""Damaged files, full disks and folders that cannot be written to."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap

import pytest

from neurenix.transfer import (
    CheckpointDamagedError,
    CheckpointError,
)
from neurenix_transfer.checkpoints.folder import CheckpointFolder, read_checkpoint


def test_a_truncated_checkpoint_leads_to_an_older_one(run, tmp_path, same, names):
    through = run(epochs=5)
    for name in ("tensors.safetensors", "state.json"):
        folder = tmp_path / name
        run(epochs=3, checkpoint_dir=folder)
        file = folder / "epoch-0003" / name
        file.write_bytes(file.read_bytes()[:-20])
        with pytest.warns(UserWarning, match=r"epoch-0003 is damaged.*epoch-0002 is taken"):
            resumed = run(epochs=5, checkpoint_dir=folder, resume_from_checkpoint=True)
        same(through, resumed)
        assert names(folder)[-1] == "epoch-0005"


def test_bytes_that_changed_on_the_disk_are_found_out(run, tmp_path):
    run(epochs=2, checkpoint_dir=tmp_path)
    file = tmp_path / "epoch-0002" / "tensors.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointDamagedError, match="has changed since it was written"):
        read_checkpoint(tmp_path / "epoch-0002")


def test_without_any_whole_checkpoint_the_run_starts_afresh_and_warns(run, tmp_path, same):
    through = run()
    run(checkpoint_dir=tmp_path)
    for path in tmp_path.glob("epoch-*/state.json"):
        path.unlink()
    with pytest.warns(UserWarning, match=r"no checkpoint .* starts afresh"):
        resumed = run(checkpoint_dir=tmp_path, resume_from_checkpoint=True)
    same(through, resumed)


def test_a_damaged_checkpoint_that_was_named_is_an_error(run, tmp_path):
    run(checkpoint_dir=tmp_path)
    (tmp_path / "epoch-0003" / "tensors.safetensors").unlink()
    with pytest.raises(CheckpointDamagedError, match="epoch-0003"):
        run(epochs=4, resume_from_checkpoint=tmp_path / "epoch-0003")


def test_a_newer_format_is_an_error(run, tmp_path):
    run(checkpoint_dir=tmp_path)
    for path in tmp_path.glob("epoch-*/state.json"):
        path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(CheckpointError, match="the version that wrote it"):
        run(checkpoint_dir=tmp_path, resume_from_checkpoint=True)


@pytest.mark.parametrize("at", ["write", "fsync", "rename"])
def test_a_full_disk_is_a_clear_error_and_leaves_the_older_checkpoints(
    run, tmp_path, monkeypatch, at, same
):
    through = run(epochs=4)

    def fill(epoch, history):
        if epoch != 2:
            return

        def full(*args, **options):
            raise OSError(errno.ENOSPC, "No space left on device")

        name = "neurenix_transfer.checkpoints.folder."
        if at == "write":
            monkeypatch.setattr(name + "save_safetensors", full)
        else:
            monkeypatch.setattr(os, at, full)

    with pytest.raises(CheckpointError, match=r"No space left on device.*resumed") as raised:
        run(epochs=4, checkpoint_dir=tmp_path, callbacks=[fill])
    monkeypatch.undo()
    assert raised.value.history.epochs == 3
    assert sorted(each.name for each in tmp_path.iterdir()) == [".lock", "epoch-0001", "epoch-0002"]
    same(through, run(epochs=4, checkpoint_dir=tmp_path, resume_from_checkpoint=True))


def test_a_disk_that_fills_up_in_the_middle_of_a_file_leaves_no_half_of_it(tmp_path):
    script = textwrap.dedent(
        f"""
        import resource, signal
        import numpy as np
        from neurenix import nn
        from neurenix.optim import Adam
        from neurenix.transfer import fine_tune
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        def fill(epoch):
            if epoch == 1:
                resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        model = nn.Linear(600, 2)
        x, y = np.ones((4, 600), np.float32), [0, 1, 0, 1]
        fine_tune(model, Adam(model.parameters()), x, y, epochs=3, verbose=0,
                  checkpoint_dir={str(tmp_path)!r}, callbacks=[fill])
        """
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert "CheckpointError" in done.stderr
    assert "File too large" in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == [".lock", "epoch-0001"]
    read_checkpoint(tmp_path / "epoch-0001")


def test_a_folder_that_cannot_be_written_is_an_error_before_the_first_step(
    run, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written to"):
        run(checkpoint_dir=tmp_path / "file" / "run")
    folder = tmp_path / "readonly"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):  # the superuser may write anywhere
        monkeypatch.setattr("builtins.open", _denied(open, folder))
    with pytest.raises(CheckpointError, match="Permission denied"):
        run(checkpoint_dir=folder)


def _denied(original, folder):
    def opened(path, mode="r", *args, **options):
        if str(path).startswith(str(folder)) and "a" in mode:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return original(path, mode, *args, **options)

    return opened


def test_two_runs_cannot_hold_one_folder(run, tmp_path):
    folder = CheckpointFolder(tmp_path)
    with pytest.raises(CheckpointError, match="another run is writing"):
        run(checkpoint_dir=tmp_path)
    folder.close()
    run(checkpoint_dir=tmp_path)


def test_what_a_killed_run_left_is_cleared_away(run, tmp_path):
    (tmp_path / ".unfinished-abc").mkdir()
    (tmp_path / ".unfinished-abc" / "tensors.safetensors").write_bytes(b"half")
    run(checkpoint_dir=tmp_path)
    assert not (tmp_path / ".unfinished-abc").exists()
