"""``neurenix fine-tune``: what it writes and says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from narrow_backend import NarrowBackend
from PIL import Image

import neurenix
from neurenix.io import load_safetensors, safetensors_metadata

from .conftest import Invoke, save_photo, save_photos
from .tiny_base import PREPROCESSING


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())


def test_writes_the_model_the_history_the_record_and_the_picture(run: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == [
        "README.md", "history.json", "model.safetensors", "report.html", "report.png", "run.json",
    ]  # fmt: skip
    with Image.open(run / "report.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 1000


def test_the_model_carries_its_classes_and_preprocessing(run: Path) -> None:
    metadata = safetensors_metadata(run / "model.safetensors")
    assert json.loads(metadata["classes"]) == ["blue", "red"]
    assert json.loads(metadata["preprocessing"]) == PREPROCESSING
    assert metadata["base"] == "tiny_base"
    names = load_safetensors(run / "model.safetensors").keys()
    assert not any("classifier" in name for name in names)  # the base's own is left out
    assert any(name.startswith("base_model.stem") for name in names)


def test_the_history(run: Path) -> None:
    history = read_json(run / "history.json")
    lists = {key: value for key, value in history.items() if isinstance(value, list)}
    assert set(lists) == {
        "train_loss", "val_loss", "train_accuracy", "val_accuracy", "lr", "epoch_time",
    }  # fmt: skip
    assert {len(values) for values in lists.values()} == {8}
    assert history["best_epoch"] == int(np.argmin(history["val_loss"]))
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert history["lr"][-1] < max(history["lr"]) <= 0.03


def test_the_record_holds_every_option_and_hash(run: Path, weights: Path, photos: Path) -> None:
    record = read_json(run / "run.json")
    options = record["options"]
    assert options["epochs"] == 8
    assert options["lr"] == 0.03
    assert options["batch_size"] == 32
    assert options["weight_decay"] == 0.01
    assert options["seed"] == 0
    assert options["augment"] is False
    assert options["weights"] == str(weights)
    assert record["photos"]["train"] == {"blue": 8, "red": 9}
    assert record["photos"]["val"] == {"blue": 4, "red": 3}
    assert record["device"] == "cpu"
    assert "numpy" in record["versions"]
    hashes = [record["weights"]["sha256"], record["model"]["sha256"]]
    hashes += record["photos"]["sha256"].values()
    assert all(len(value) == 64 for value in hashes)
    assert len(set(hashes)) == 4
    assert record["model"]["trained_parameters"] == 2 * 8 + 2
    validation = record["result"]["validation"]
    assert validation["total"] == 7
    assert validation["accuracy"] == validation["correct"] / 7
    assert set(validation["recall"]) == {"blue", "red"}
    assert record["result"]["val_loss"] == min(read_json(run / "history.json")["val_loss"])
    assert record["interrupted"] is False


def test_the_hash_of_the_photos_follows_their_content(
    fine_tune: Invoke, run: Path, photos: Path
) -> None:
    before = read_json(run / "run.json")["photos"]["sha256"]
    save_photo(photos / "train" / "red" / "00.png", "red", seed=77)
    assert fine_tune("--overwrite").exit_code == 0
    after = read_json(run / "run.json")["photos"]["sha256"]
    assert after["train"] != before["train"]
    assert after["val"] == before["val"]


def test_says_what_was_decided_and_what_came_out(fine_tune: Invoke, weights: Path) -> None:
    result = fine_tune("--epochs", 3)
    assert result.exit_code == 0
    for expected in (
        "17 to train on, 7 to validate on; 2 classes: blue, red",
        f"Base: tiny_base, frozen; weights {weights}",
        "18 of 768 parameters are trained, on cpu",
        "AdamW 0.003, weight decay 0.01 on matrices only, 10 % warm-up, then cosine; batch 32, "
        "seed 0, no augmentation",
        "the epoch of the lowest validation loss",
        "Decoded 24 photos",
        "Estimate: about",
        "Epoch 3/3",
        "Kept epoch",
        "recall",
        "95 % interval",
        "balanced accuracy",
        "Wrote ",
    ):
        assert expected in result.stdout
    rows = {line.split()[0]: line.split()[1:3] for line in result.stdout.splitlines() if line}
    assert rows["blue"] == ["8", "4"]
    assert rows["red"] == ["9", "3"]


def test_learns(run: Path) -> None:
    assert read_json(run / "run.json")["result"]["validation"]["accuracy"] == 1.0


def test_the_same_seed_gives_the_same_bits(fine_tune: Invoke, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "first")
    assert fine_tune("--epochs", 8, "--lr", 0.03, "--overwrite").exit_code == 0
    first, second = (read_json(tmp_path / name / "history.json") for name in ("first", "out"))
    first.pop("epoch_time")
    second.pop("epoch_time")
    assert first == second
    one, two = (load_safetensors(tmp_path / n / "model.safetensors") for n in ("first", "out"))
    for name, tensor in one.items():
        assert np.array_equal(tensor.numpy(), two[name].numpy()), name


def test_another_seed_gives_another_order(fine_tune: Invoke, tmp_path: Path) -> None:
    losses = []
    for seed in (0, 1):
        arguments = ("--seed", seed, "--overwrite", "--batch-size", 4)
        assert fine_tune(*arguments).exit_code == 0
        losses.append(read_json(tmp_path / "out" / "history.json")["train_loss"])
    assert losses[0] != losses[1]


def test_the_frozen_base_stays_as_it_was(run: Path, weights: Path) -> None:
    before = load_safetensors(weights)
    after = load_safetensors(run / "model.safetensors")
    for name, tensor in before.items():
        if not name.startswith("classifier"):
            assert np.array_equal(tensor.numpy(), after[f"base_model.{name}"].numpy()), name


class TestUnfreeze:
    @pytest.mark.parametrize("layers", ["body", "body.0,body.1", "re:body.*", "all"])
    def test_the_layers_named_learn_too(
        self, layers: str, fine_tune: Invoke, weights: Path, tmp_path: Path
    ) -> None:
        result = fine_tune("--unfreeze", layers)
        assert result.exit_code == 0, result.output
        assert "0.003 (head), 0.0001 (base)" in result.stdout
        before = load_safetensors(weights)
        after = load_safetensors(tmp_path / "out" / "model.safetensors")
        changed = {
            name
            for name, tensor in before.items()
            if f"base_model.{name}" in after
            and not np.array_equal(tensor.numpy(), after[f"base_model.{name}"].numpy())
        }
        assert "body.0.weight" in changed
        assert "body.1.running_mean" in changed
        assert ("stem.weight" in changed) == (layers == "all")

    def test_their_rate_can_be_set(self, fine_tune: Invoke, tmp_path: Path) -> None:
        assert fine_tune("--unfreeze", "body", "--base-lr", 0.0005).exit_code == 0
        assert read_json(tmp_path / "out" / "run.json")["options"]["base_lr"] == 0.0005

    def test_an_unknown_layer_is_an_error_that_names_close_ones(self, fine_tune: Invoke) -> None:
        result = fine_tune("--unfreeze", "boddy")
        assert result.exit_code == 2
        assert "boddy" in result.stderr
        assert "body" in result.stderr.replace("boddy", "")

    def test_a_rate_without_layers_is_an_error(self, fine_tune: Invoke) -> None:
        result = fine_tune("--base-lr", 0.001)
        assert result.exit_code == 2
        assert "--unfreeze" in result.stderr


def test_augmentation_is_said_and_recorded(fine_tune: Invoke, tmp_path: Path) -> None:
    result = fine_tune("--augment")
    assert result.exit_code == 0
    assert "augmentation on" in result.stdout
    assert "cache is off" in result.stdout
    assert read_json(tmp_path / "out" / "run.json")["options"]["augment"] is True
    plain = fine_tune("--overwrite")
    assert "no augmentation" in plain.stdout


class TestDryRun:
    def test_counts_estimates_and_writes_nothing(self, fine_tune: Invoke, tmp_path: Path) -> None:
        result = fine_tune("--dry-run", "--unfreeze", "body.0")
        assert result.exit_code == 0
        assert "17 to train on, 7 to validate on" in result.stdout
        assert f"{18 + 6 * 8 * 9 + 8} of 768 parameters are trained" in result.stdout
        assert "Estimate: about" in result.stdout
        assert "Epoch" not in result.stdout
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob(".out*"))

    def test_warns_of_an_output_that_is_taken(self, fine_tune: Invoke, run: Path) -> None:
        result = fine_tune("--dry-run")
        assert result.exit_code == 0
        assert f"Warning: {run} holds a run already" in result.stderr


class TestOneFolder:
    def test_is_split_by_class(self, fine_tune: Invoke, tmp_path: Path) -> None:
        root = save_photos(tmp_path / "one", {"blue": 10, "green": 5, "red": 20})
        result = fine_tune("--val-fraction", 0.4, root=root)
        assert result.exit_code == 0, result.output
        assert "0.4 of each class is validated on, seed 0" in result.stdout
        record = read_json(tmp_path / "out" / "run.json")["photos"]
        assert record["val"] == {"blue": 4, "green": 2, "red": 8}
        assert record["train"] == {"blue": 6, "green": 3, "red": 12}
        assert record["val_fraction"] == 0.4

    def test_a_fifth_is_held_out_by_default(self, fine_tune: Invoke, tmp_path: Path) -> None:
        root = save_photos(tmp_path / "one", {"blue": 10, "red": 5})
        assert fine_tune(root=root).exit_code == 0
        assert read_json(tmp_path / "out" / "run.json")["photos"]["val"] == {"blue": 2, "red": 1}

    def test_train_alone_is_split_too(
        self, fine_tune: Invoke, photos: Path, tmp_path: Path
    ) -> None:
        shutil.rmtree(photos / "val")
        result = fine_tune()
        assert result.exit_code == 0
        assert f"split of {photos / 'train'}" in result.stdout
        assert read_json(tmp_path / "out" / "run.json")["photos"]["val"] == {"blue": 2, "red": 2}

    def test_the_split_follows_the_seed(self, fine_tune: Invoke, tmp_path: Path) -> None:
        root = save_photos(tmp_path / "one", {"blue": 10, "red": 10})
        chosen = []
        for seed in (0, 0, 1):
            assert fine_tune("--seed", seed, "--overwrite", root=root).exit_code == 0
            chosen.append(read_json(tmp_path / "out" / "run.json")["photos"]["val_files"])
        assert chosen[0] == chosen[1] != chosen[2]

    def test_identical_files_stay_on_one_side(self, fine_tune: Invoke, tmp_path: Path) -> None:
        root = save_photos(tmp_path / "one", {"blue": 6, "red": 6})
        for number in range(6):
            original = root / "red" / f"{number:02}.png"
            shutil.copy(original, root / "red" / f"copy-{number:02}.png")
        for seed in range(3):
            result = fine_tune("--seed", seed, "--val-fraction", 0.5, "--overwrite", root=root)
            assert result.exit_code == 0
            val = read_json(tmp_path / "out" / "run.json")["photos"]["val_files"]
            red = {Path(path).name for path in val if path.startswith("red")}
            assert len(red) == 6
            assert {f"copy-{name}" for name in red if not name.startswith("copy")} == {
                name for name in red if name.startswith("copy")
            }

    def test_identical_photos_of_two_classes_are_reported(
        self, fine_tune: Invoke, tmp_path: Path
    ) -> None:
        root = save_photos(tmp_path / "one", {"blue": 6, "red": 6})
        shutil.copy(root / "red" / "00.png", root / "blue" / "stray.png")
        result = fine_tune(root=root)
        assert result.exit_code == 0
        assert "identical photos stand in different classes" in result.stderr
        assert "stray.png" in result.stderr


def test_copies_between_train_and_val_are_reported(fine_tune: Invoke, photos: Path) -> None:
    shutil.copy(photos / "train" / "red" / "03.png", photos / "val" / "red" / "again.png")
    result = fine_tune()
    assert result.exit_code == 0
    assert "1 of the 8 photos of val also stand in train" in result.stderr
    assert "again.png" in result.stderr


def test_other_files_and_hidden_folders_are_left_out(fine_tune: Invoke, photos: Path) -> None:
    (photos / "train" / "red" / "notes.txt").write_text("not a photo")
    (photos / "train" / "red" / "a.gif").write_text("not read")
    (photos / "train" / ".thumbnails").mkdir()
    (photos / "test" / "red").mkdir(parents=True)
    result = fine_tune()
    assert result.exit_code == 0
    assert "2 classes: blue, red" in result.stdout
    assert "1 .gif, 1 .txt" in result.stdout
    assert "not used: test" in result.stdout


def test_the_folder_is_named_after_the_photos_unless_told(
    invoke: Invoke, photos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ("--base", "tiny_base", "--weights", weights, "--epochs", 1)
    assert invoke("fine-tune", photos, *arguments).exit_code == 0
    assert (tmp_path / "photos-tiny_base" / "model.safetensors").is_file()


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_the_frozen_part_may_run_in_another_precision_and_predictions_do_not(
    fine_tune: Invoke,
    invoke: Invoke,
    photos: Path,
    tmp_path: Path,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = neurenix.default_device()
    backend = NarrowBackend(device.backend)
    monkeypatch.setattr(device, "backend", backend)
    result = fine_tune("--precision", precision, "--cache", "memory")
    assert result.exit_code == 0, result.output
    assert f"seed 0, frozen part in {precision}, no augmentation" in result.output
    assert f"Precision: {precision} for the frozen part" in result.output
    assert read_json(tmp_path / "out" / "run.json")["options"]["precision"] == precision
    asked = len(backend.asked)
    assert invoke("predict", tmp_path / "out", photos / "val").exit_code == 0
    assert len(backend.asked) == asked
