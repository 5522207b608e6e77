"""``neurenix fine-tune``: every error says what to do, and none costs what was there."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

import neurenix_transfer.runs.job as job
import neurenix_transfer.runs.training as training
import neurenix_transfer.runs.write_up as write_up
from neurenix import models, nn
from neurenix.io import save_safetensors

from .conftest import Invoke, save_photo, save_photos, start_process


def assert_error(result: Any, *parts: str) -> None:
    """Assert that a command failed with one message that has these parts."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for part in parts:
        assert part in result.stderr


class TestPhotos:
    def test_a_missing_folder(self, fine_tune: Invoke, tmp_path: Path) -> None:
        assert_error(fine_tune(root=tmp_path / "nowhere"), "nowhere", "no such path", "train/")

    def test_a_file(self, fine_tune: Invoke, weights: Path) -> None:
        assert_error(fine_tune(root=weights), "it is a file")

    def test_an_empty_folder(self, fine_tune: Invoke, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert_error(fine_tune(root=tmp_path / "empty"), "no folders", "one folder a class")

    def test_a_single_class(self, fine_tune: Invoke, tmp_path: Path) -> None:
        root = save_photos(tmp_path / "one", {"red": 4})
        assert_error(fine_tune(root=root), "only the class red", "at least two folders")

    def test_an_empty_class(self, fine_tune: Invoke, photos: Path) -> None:
        (photos / "train" / "yellow").mkdir()
        assert_error(fine_tune(), "yellow", "add photos or remove the folder")

    def test_a_class_that_only_val_has(self, fine_tune: Invoke, photos: Path) -> None:
        save_photo(photos / "val" / "green" / "0.png", "green", 0)
        assert_error(fine_tune(), "green", "blue, red")

    @pytest.mark.filterwarnings("default")
    def test_a_class_that_val_lacks_is_a_warning(self, fine_tune: Invoke, photos: Path) -> None:
        shutil.rmtree(photos / "val" / "blue")
        result = fine_tune()
        assert result.exit_code == 0
        assert "Warning:" in result.stderr
        assert "no photos of blue" in result.stderr
        assert any(line.split() == ["blue", "8", "0", "-"] for line in result.stdout.splitlines())

    def test_val_without_train(self, fine_tune: Invoke, photos: Path) -> None:
        (photos / "train").rename(photos / "training")
        assert_error(fine_tune(), "no folder train", str(photos / "train"))

    def test_a_fraction_where_val_is_given(self, fine_tune: Invoke) -> None:
        assert_error(fine_tune("--val-fraction", 0.5), "has a folder val already")

    @pytest.mark.parametrize("fraction", [0, 1, -0.5, "nan"])
    def test_a_fraction_out_of_range(self, fraction: object, fine_tune: Invoke) -> None:
        assert_error(fine_tune("--val-fraction", fraction), "between 0 and 1")

    def test_nothing_to_hold_out(self, fine_tune: Invoke, tmp_path: Path) -> None:
        root = save_photos(tmp_path / "one", {"blue": 1, "red": 1})
        assert_error(fine_tune(root=root), "add photos")

    def test_a_broken_photo_is_named_and_skipped(
        self, fine_tune: Invoke, photos: Path, tmp_path: Path
    ) -> None:
        broken = photos / "train" / "red" / "02.png"
        broken.write_bytes(broken.read_bytes()[:60])
        (photos / "val" / "blue" / "zero.jpg").touch()
        result = fine_tune()
        assert result.exit_code == 0
        assert f"skipped a broken photo: {broken}: " in result.stderr
        assert "zero.jpg: the file is empty" in result.stderr
        record = json.loads((tmp_path / "out" / "run.json").read_text())["photos"]
        assert record["train"] == {"blue": 8, "red": 8}
        assert record["val"] == {"blue": 4, "red": 3}
        assert sorted(Path(path).name for path in record["broken"]) == ["02.png", "zero.jpg"]

    def test_a_class_of_broken_photos_only(
        self, fine_tune: Invoke, photos: Path, tmp_path: Path
    ) -> None:
        for path in (photos / "train" / "red").iterdir():
            path.write_text("no photo")
        assert_error(fine_tune(), "the class red is empty", "none of its 9 photos")
        assert not (tmp_path / "out").exists()


class TestWeights:
    def test_a_missing_file(self, fine_tune: Invoke) -> None:
        assert_error(fine_tune("--weights", "nowhere.safetensors"), "nowhere.safetensors")

    def test_a_file_of_something_else(self, fine_tune: Invoke, tmp_path: Path) -> None:
        (tmp_path / "notes.safetensors").write_text("not weights at all")
        assert_error(fine_tune("--weights", tmp_path / "notes.safetensors"), "notes.safetensors")

    def test_the_weights_of_another_model(self, fine_tune: Invoke, tmp_path: Path) -> None:
        path = tmp_path / "other.safetensors"
        save_safetensors(path, nn.Linear(3, 2).state_dict())
        assert_error(fine_tune("--weights", path), "other.safetensors", "another model", "missing")

    def test_the_classifier_may_have_any_width(self, fine_tune: Invoke, tmp_path: Path) -> None:
        path = tmp_path / "wide.safetensors"
        save_safetensors(path, models.create("tiny_base", num_classes=99).state_dict())
        assert fine_tune("--weights", path).exit_code == 0

    def test_an_unknown_base(self, fine_tune: Invoke) -> None:
        result = fine_tune("--base", "resnet17")
        assert_error(result, "resnet17", "did you mean resnet1", "there are resnet18, resnet34")
        assert "bert" not in result.stderr

    def test_a_base_for_texts(self, fine_tune: Invoke) -> None:
        result = fine_tune("--base", "bert")
        assert_error(result, "bert takes texts", "for photos there are resnet18", "add --text")


class TestOptions:
    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("--epochs", 0),
            ("--batch-size", 0),
            ("--lr", 0),
            ("--lr", "inf"),
            ("--lr", "nan"),
            ("--seed", -1),
        ],
    )
    def test_out_of_range(self, option: str, value: object, fine_tune: Invoke) -> None:
        assert_error(fine_tune(option, value), option)

    def test_a_device_that_is_not_there(self, fine_tune: Invoke) -> None:
        assert_error(fine_tune("--device", "nosuchdevice"), "nosuchdevice")

    def test_a_precision_that_there_is_not(self, fine_tune: Invoke) -> None:
        assert_error(fine_tune("--precision", "int4"), "--precision is one of", "int8, not 'int4'")

    def test_a_precision_that_the_device_has_not_shows_before_anything_is_read(
        self, fine_tune: Invoke
    ) -> None:
        result = fine_tune("--precision", "int8", "--device", "cpu@neurenix-core")
        assert_error(result, "has no int8 plans", "pip install neurenix-backend-cpu")
        assert "Decod" not in result.output

    def test_a_rate_that_makes_the_loss_no_number(
        self, fine_tune: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = training.fine_tune

        def diverging(*args: Any, **options: Any) -> Any:
            history = real(*args, **options)
            history["val_loss"] = [float("nan")] * history.epochs
            history.best_epoch = None
            return history

        monkeypatch.setattr(training, "fine_tune", diverging)
        assert_error(fine_tune(), "never a number", "lower --lr")
        assert not (tmp_path / "out").exists()


class TestOutput:
    def test_a_run_is_not_overwritten(self, fine_tune: Invoke, run: Path) -> None:
        before = {path.name: path.read_bytes() for path in run.iterdir()}
        result = fine_tune("--seed", 3)
        assert_error(result, str(run), "--overwrite")
        assert "Epoch" not in result.stdout  # it is refused before the training
        assert {path.name: path.read_bytes() for path in run.iterdir()} == before

    def test_any_file_of_a_run_protects_it(self, fine_tune: Invoke, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "report.png").write_text("mine")
        assert_error(fine_tune(), "report.png")

    def test_overwrite_replaces_the_run_and_keeps_other_files(
        self, fine_tune: Invoke, run: Path
    ) -> None:
        (run / "notes.txt").write_text("mine")
        before = (run / "run.json").read_text()
        assert fine_tune("--overwrite", "--seed", 3).exit_code == 0
        assert (run / "run.json").read_text() != before
        assert (run / "notes.txt").read_text() == "mine"

    def test_a_folder_with_other_files_is_used(self, fine_tune: Invoke, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "notes.txt").write_text("mine")
        assert fine_tune().exit_code == 0
        assert len(list((tmp_path / "out").iterdir())) == 7

    def test_a_file_in_its_place(self, fine_tune: Invoke, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("a file")
        assert_error(fine_tune(), "is a file")

    def test_a_failure_leaves_nothing_behind(
        self, fine_tune: Invoke, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = {path.name: path.read_bytes() for path in run.iterdir()}

        def full(*args: Any, **options: Any) -> None:
            raise OSError(28, "No space left on device", "report.png")

        monkeypatch.setattr(write_up, "save_report", full)
        assert_error(fine_tune("--overwrite"), "No space left on device")
        assert {path.name: path.read_bytes() for path in run.iterdir()} == before
        assert not list(tmp_path.glob(".out*"))

    def test_without_matplotlib_it_fails_before_the_training(
        self, fine_tune: Invoke, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        result = fine_tune()
        assert_error(result, "pip install matplotlib")
        assert "Epoch" not in result.stdout


class TestInterrupt:
    """Ctrl-C keeps the best weights so far."""

    @staticmethod
    def interrupt_at(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
        real = training.fine_tune

        class Interrupting:
            def on_epoch_begin(self, number: int) -> None:
                if number == epoch:
                    raise KeyboardInterrupt

        def interrupted(*args: Any, **options: Any) -> Any:
            return real(*args, **options, callbacks=[Interrupting()])

        monkeypatch.setattr(training, "fine_tune", interrupted)

    def test_after_some_epochs(
        self, fine_tune: Invoke, invoke: Invoke, tmp_path: Path, photos: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        self.interrupt_at(monkeypatch, 3)
        result = fine_tune("--epochs", 5)
        assert result.exit_code == 130
        assert "Stopped by Ctrl-C after 3 of 5 epochs" in result.stdout
        record = json.loads((tmp_path / "out" / "run.json").read_text())
        assert record["interrupted"] is True
        assert record["result"]["epochs"] == 3
        history = json.loads((tmp_path / "out" / "history.json").read_text())
        assert record["result"]["val_loss"] == min(history["val_loss"])
        # The weights that were kept, before and after calibration.
        loss = record["result"]["calibration"]["nll"]
        assert loss["before"] == pytest.approx(min(history["val_loss"]), rel=1e-5)
        evaluated = invoke("evaluate", tmp_path / "out", photos, "--json")
        assert json.loads(evaluated.stdout)["loss"] == pytest.approx(loss["after"], rel=1e-9)

    def test_before_the_first_epoch_has_ended(
        self, fine_tune: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.interrupt_at(monkeypatch, 0)
        result = fine_tune()
        assert result.exit_code == 130
        assert "nothing was written" in result.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["photos"]

    def test_a_second_one_while_evaluating_keeps_the_weights(
        self, fine_tune: Invoke, invoke: Invoke, photos: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        def interrupt(*args: Any) -> None:
            raise KeyboardInterrupt

        self.interrupt_at(monkeypatch, 1)
        monkeypatch.setattr(job, "measure", interrupt)
        assert fine_tune().exit_code == 130
        out = tmp_path / "out"
        assert sorted(path.name for path in out.iterdir()) == [
            "README.md", "history.json", "model.safetensors", "run.json",
        ]  # fmt: skip
        assert invoke("evaluate", out, photos).exit_code == 0

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a process")
    def test_of_a_process(self, photos: Path, weights: Path, tmp_path: Path) -> None:
        process = start_process(
            "fine-tune", photos, "--base", "tiny_base", "--weights", weights,
            "--epochs", 100_000, "--out", tmp_path / "out",
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Epoch 3/"):
                process.send_signal(signal.SIGINT)
                break
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        record = json.loads((tmp_path / "out" / "run.json").read_text())
        assert record["interrupted"] is True
        assert record["result"]["epochs"] >= 3
        assert (tmp_path / "out" / "report.png").is_file()
