"""``neurenix predict``, ``neurenix evaluate`` and the predictor behind them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import neurenix
from neurenix.data.photos import PhotoError, read_photo
from neurenix.io import load_safetensors, safetensors_metadata, save_safetensors
from neurenix_transfer.photos.predictor import Predictor

from .conftest import Invoke, run_process, save_photo

CLASSES = {"blue", "red"}


@pytest.fixture
def flat(photos: Path, tmp_path: Path) -> Path:
    """The validation photos in one folder, under names that say nothing."""
    folder = tmp_path / "flat"
    folder.mkdir()
    for number, path in enumerate(sorted(photos.glob("val/*/*"), key=lambda path: path.name)):
        shutil.copy(path, folder / f"photo{number}.png")
    return folder


def truth_of(flat: Path, photos: Path) -> dict[str, str]:
    """Map each neutral name to the class of the photo of the same bytes."""
    classes = {path.read_bytes(): path.parent.name for path in photos.glob("val/*/*")}
    return {path.name: classes[path.read_bytes()] for path in flat.iterdir()}


class TestPredict:
    def test_another_process_reproduces_the_reported_accuracy(
        self, fine_tune: Invoke, tmp_path: Path, photos: Path, flat: Path
    ) -> None:
        # One epoch at a small rate, so that some photos are still wrong.
        assert fine_tune("--epochs", 1, "--lr", 1e-5, "--seed", 1).exit_code == 0
        code, out, _ = run_process("predict", tmp_path / "out", flat, "--json")
        assert code == 0
        answers = json.loads(out)
        truth = truth_of(flat, photos)
        correct = sum(truth[Path(each["photo"]).name] == each["class"] for each in answers)
        record = json.loads((tmp_path / "out" / "run.json").read_text())["result"]["validation"]
        assert (correct, len(answers)) == (record["correct"], record["total"])

    def test_a_line_a_photo(self, run: Path, photos: Path, invoke: Invoke) -> None:
        photo = photos / "val" / "red" / "00.png"
        result = invoke("predict", run, photo)
        assert result.exit_code == 0
        path, label, probability = result.stdout.split()
        assert path == str(photo)
        assert label == "red"
        assert 0.5 < float(probability) <= 1

    def test_top(self, run: Path, photos: Path, invoke: Invoke) -> None:
        result = invoke("predict", run, photos / "val" / "red" / "00.png", "--top", 5)
        _, first, high, second, low = result.stdout.split()
        assert {first, second} == CLASSES  # there are no more than two
        assert float(high) > float(low)
        assert float(high) + float(low) == pytest.approx(1, abs=2e-4)
        assert invoke("predict", run, photos, "--top", 0).exit_code == 2

    def test_json(self, run: Path, photos: Path, invoke: Invoke) -> None:
        result = invoke("predict", run, photos / "val", "--json", "--top", 2)
        answers = json.loads(result.stdout)
        assert len(answers) == 7
        for answer in answers:
            assert Path(answer["photo"]).is_file()
            assert answer["class"] == answer["top"][0]["class"] == Path(answer["photo"]).parent.name
            assert answer["probability"] == answer["top"][0]["probability"]
            assert sum(each["probability"] for each in answer["top"]) == pytest.approx(1)

    def test_csv(self, run: Path, photos: Path, tmp_path: Path, invoke: Invoke) -> None:
        table = tmp_path / "table.csv"
        result = invoke("predict", run, photos / "val" / "red", "--csv", table, "--top", 2)
        assert result.exit_code == 0
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 3
        assert list(rows[0]) == ["photo", "class", "probability", "class_2", "probability_2"]
        assert {row["class"] for row in rows} == {"red"}
        assert float(rows[0]["probability"]) > float(rows[0]["probability_2"])

    def test_a_broken_photo_is_named_and_skipped(
        self, run: Path, photos: Path, invoke: Invoke
    ) -> None:
        (photos / "val" / "red" / "broken.jpg").write_text("no photo")
        (photos / "val" / "red" / "notes.txt").write_text("no photo")
        result = invoke("predict", run, photos / "val", "--json")
        assert result.exit_code == 0
        assert len(json.loads(result.stdout)) == 7  # standard output stays JSON
        assert "broken.jpg" in result.stderr
        assert "1 .txt" in result.stderr

    def test_a_photo_named_twice_is_answered_once(
        self, run: Path, photos: Path, invoke: Invoke
    ) -> None:
        red = photos / "val" / "red"
        result = invoke("predict", run, red / "00.png", red, "--json")
        assert len(json.loads(result.stdout)) == 3

    def test_a_folder_without_a_model(self, photos: Path, invoke: Invoke) -> None:
        result = invoke("predict", photos, photos)
        assert result.exit_code == 2
        assert "no model.safetensors" in result.stderr
        assert "neurenix fine-tune" in result.stderr

    def test_a_missing_folder(self, tmp_path: Path, photos: Path, invoke: Invoke) -> None:
        result = invoke("predict", tmp_path / "nowhere", photos)
        assert result.exit_code == 2
        assert "there is no such folder" in result.stderr

    def test_weights_without_classes(self, weights: Path, photos: Path, invoke: Invoke) -> None:
        result = invoke("predict", weights, photos)
        assert result.exit_code == 2
        assert "not the classes" in result.stderr
        assert "--weights" in result.stderr

    def test_a_damaged_file(self, run: Path, photos: Path, invoke: Invoke) -> None:
        file = run / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
        result = invoke("predict", run, photos)
        assert result.exit_code == 2
        assert "model.safetensors" in result.stderr
        assert "Traceback" not in result.stderr

    @pytest.mark.parametrize(
        "change",
        [
            {"classes": '["blue", "green", "red"]'},
            {"classes": "no JSON"},
            {"classes": '"red"'},
            {"preprocessing": "{}"},
            {"base": "resnet18"},
            {"base": "nosuchbase"},
            {"head": "another"},
        ],
    )
    def test_metadata_that_contradict_the_weights(
        self, change: dict[str, str], run: Path, photos: Path, invoke: Invoke
    ) -> None:
        file = run / "model.safetensors"
        tensors, metadata = load_safetensors(file), safetensors_metadata(file)
        save_safetensors(file, tensors, {**metadata, **change})
        result = invoke("predict", run, photos)
        assert result.exit_code == 2
        assert result.stderr.startswith("Error: ")
        assert "Traceback" not in result.stderr

    def test_a_photo_that_is_not_there(self, run: Path, tmp_path: Path, invoke: Invoke) -> None:
        result = invoke("predict", run, tmp_path / "nowhere.jpg")
        assert result.exit_code == 2
        assert "nowhere.jpg" in result.stderr

    def test_a_folder_without_photos(self, run: Path, tmp_path: Path, invoke: Invoke) -> None:
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "notes.txt").write_text("text")
        result = invoke("predict", run, tmp_path / "docs")
        assert result.exit_code == 2
        assert "1 .txt" in result.stderr

    def test_broken_photos_only(self, run: Path, tmp_path: Path, invoke: Invoke) -> None:
        (tmp_path / "a.jpg").write_text("no photo")
        result = invoke("predict", run, tmp_path / "a.jpg")
        assert result.exit_code == 2
        assert "none of the 1 photos can be read" in result.stderr


class TestEvaluate:
    def test_gives_the_figures_of_the_training(
        self, run: Path, photos: Path, invoke: Invoke
    ) -> None:
        record = json.loads((run / "run.json").read_text())["result"]["validation"]
        for folder in (photos / "val", photos):  # of a folder with both, val is taken
            result = invoke("evaluate", run, folder, "--json")
            assert result.exit_code == 0
            assert json.loads(result.stdout) == record

    def test_prints_a_row_a_class(self, run: Path, photos: Path, invoke: Invoke) -> None:
        save_photo(photos / "val" / "red" / "really-blue.png", "blue", 4)
        result = invoke("evaluate", run, photos / "val")
        lines = result.stdout.splitlines()
        assert lines[0].split() == ["class", "photos", "recall"]
        assert lines[1].split() == ["blue", "4", "1.0000"]
        assert lines[2].split() == ["red", "4", "0.7500"]
        assert lines[3].startswith("accuracy 0.8750 (7 of 8), 95 % interval 0.529 to 0.978, ")
        assert lines[3].endswith("balanced accuracy 0.8750")

    def test_an_unknown_class(self, run: Path, photos: Path, invoke: Invoke) -> None:
        save_photo(photos / "val" / "green" / "0.png", "green", 0)
        result = invoke("evaluate", run, photos / "val")
        assert result.exit_code == 2
        assert "green" in result.stderr

    @pytest.mark.filterwarnings("default")
    def test_a_missing_class_is_a_warning(self, run: Path, photos: Path, invoke: Invoke) -> None:
        shutil.rmtree(photos / "val" / "blue")
        result = invoke("evaluate", run, photos / "val")
        assert result.exit_code == 0
        assert "blue" in result.stderr
        assert result.stdout.splitlines()[1].split() == ["blue", "0", "-"]


class TestPredictor:
    @pytest.fixture
    def predictor(self, run: Path) -> Predictor:
        return neurenix.load(run)

    def test_knows_its_classes_and_model(self, predictor: Predictor) -> None:
        assert predictor.classes == ("blue", "red")
        assert isinstance(predictor.model, neurenix.nn.Module)
        assert not predictor.model.training

    def test_loads_the_file_as_well(self, run: Path) -> None:
        assert neurenix.load(run / "model.safetensors").classes == ("blue", "red")

    def test_paths_strings_folders_and_arrays_agree(
        self, predictor: Predictor, photos: Path
    ) -> None:
        folder = photos / "val" / "red"
        paths = sorted(folder.iterdir())
        pixels = [read_photo(path) for path in paths]
        expected = [each.probabilities.tolist() for each in predictor.predict(folder)]
        assert len(expected) == 3
        for given in (paths, [str(path) for path in paths], pixels, np.stack(pixels), [folder]):
            answers = predictor.predict(given)
            assert [each.probabilities.tolist() for each in answers] == expected

    def test_one_photo_is_a_list_of_one(self, predictor: Predictor, photos: Path) -> None:
        (answer,) = predictor.predict(photos / "val" / "red" / "00.png")
        assert answer.label == "red"
        assert answer.path == photos / "val" / "red" / "00.png"
        assert answer.probability == answer.probabilities.max()
        assert [name for name, _ in answer.top(2)] == ["red", "blue"]
        (same,) = predictor.predict(read_photo(answer.path))
        assert same.path is None
        assert same.probability == answer.probability
        assert "red" in repr(answer)

    def test_a_photo_does_not_depend_on_the_others(
        self, predictor: Predictor, photos: Path
    ) -> None:
        paths = sorted(photos.glob("val/*/*"))
        together = predictor.predict(paths)
        alone = [predictor.predict(path)[0] for path in reversed(paths)][::-1]
        for one, other in zip(together, alone, strict=True):
            assert one.probabilities.tolist() == other.probabilities.tolist()

    def test_a_broken_photo_raises(self, predictor: Predictor, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_text("no photo")
        with pytest.raises(PhotoError, match=r"a\.jpg"):
            predictor.predict(tmp_path / "a.jpg")

    @pytest.mark.parametrize(
        "wrong",
        [3, np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), [None]],
        ids=["number", "gray", "float", "none"],
    )
    def test_what_is_no_photo_raises(self, wrong: object, predictor: Predictor) -> None:
        with pytest.raises(TypeError, match="expected"):
            predictor.predict(wrong)  # type: ignore[arg-type]

    def test_no_photos_no_answers(self, predictor: Predictor) -> None:
        assert predictor.predict([]) == []
