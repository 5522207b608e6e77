"""What a run says of its model: calibration, card, page; confidence and pictures of predictions."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import neurenix
from neurenix.data.photos import read_photo
from neurenix.io import load_safetensors, safetensors_metadata, save_safetensors
from neurenix.transfer import calibrate, evaluate, grad_cam

from .conftest import Invoke, save_photo


@pytest.fixture
def unsure_run(fine_tune: Invoke, photos: Path, tmp_path: Path) -> Path:
    """A run that is wrong about a photo, so that it can be calibrated."""
    save_photo(photos / "val" / "red" / "really-blue.png", "blue", 4)
    result = fine_tune("--epochs", 8, "--lr", 0.03)
    assert result.exit_code == 0, result.output
    assert "Calibration: temperature" in result.stdout
    return tmp_path / "out"


class TestCalibration:
    def test_is_in_the_file_and_the_record_and_is_used(
        self, unsure_run: Path, photos: Path
    ) -> None:
        record = json.loads((unsure_run / "run.json").read_text())["result"]["calibration"]
        metadata = safetensors_metadata(unsure_run / "model.safetensors")
        assert float(metadata["temperature"]) == record["temperature"] != 1.0
        assert record["nll"]["after"] < record["nll"]["before"]
        predictor = neurenix.load(unsure_run)
        assert predictor.temperature == record["temperature"]
        found = evaluate(predictor, photos / "val")
        assert found.loss == pytest.approx(record["nll"]["after"], rel=1e-9)
        predictor.temperature = 1.0
        plain = evaluate(predictor, photos / "val")
        assert plain.loss == pytest.approx(record["nll"]["before"], rel=1e-9)
        assert (plain.predicted == found.predicted).all()

    def test_where_all_are_right_it_is_left_out_and_said(self, fine_tune: Invoke) -> None:
        result = fine_tune("--epochs", 8, "--lr", 0.03)
        assert "Calibration: none, for every sample is right" in result.stdout

    def test_from_python_and_saved(self, unsure_run: Path, photos: Path, tmp_path: Path) -> None:
        predictor = neurenix.load(unsure_run)
        expected, predictor.temperature = predictor.temperature, 5.0
        paths = sorted((photos / "val").glob("*/*"))
        found = calibrate(predictor, paths, [path.parent.name for path in paths])
        assert found.temperature == pytest.approx(expected, rel=1e-6)
        predictor.temperature = 2.0
        predictor.save(tmp_path / "copy.safetensors")
        predictor.save(unsure_run)
        for path in (tmp_path / "copy.safetensors", unsure_run):
            assert neurenix.load(path).temperature == 2.0

    def test_files_of_before_have_none(self, unsure_run: Path) -> None:
        file = unsure_run / "model.safetensors"
        tensors, metadata = load_safetensors(file), safetensors_metadata(file)
        del metadata["temperature"]
        save_safetensors(file, tensors, metadata)
        assert neurenix.load(unsure_run).temperature == 1.0

    @pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "warm"])
    def test_a_damaged_one_is_an_error(self, text: str, run: Path, invoke: Invoke) -> None:
        file = run / "model.safetensors"
        tensors, metadata = load_safetensors(file), safetensors_metadata(file)
        save_safetensors(file, tensors, {**metadata, "temperature": text})
        result = invoke("predict", run, run / "report.png")
        assert result.exit_code == 2
        assert "metadata is damaged" in result.stderr


class TestMinConfidence:
    @pytest.fixture
    def answers(self, unsure_run: Path, photos: Path) -> dict[Path, float]:
        found = neurenix.load(unsure_run).predict(photos / "val")
        return {each.path: each.probability for each in found if each.path is not None}

    def test_below_it_the_answer_is_unsure(
        self, unsure_run: Path, photos: Path, answers: dict[Path, float], invoke: Invoke,
        tmp_path: Path,
    ) -> None:  # fmt: skip
        least = float(np.median(list(answers.values())))
        table = tmp_path / "table.csv"
        result = invoke(
            "predict", unsure_run, photos / "val", "--min-confidence", least, "--json",
            "--csv", table,
        )  # fmt: skip
        assert result.exit_code == 0  # unsure is an answer
        rows = json.loads(result.stdout)
        with table.open(newline="") as file:
            lines = list(csv.DictReader(file))
        assert list(lines[0]) == ["photo", "class", "probability", "unsure"]
        for row, line in zip(rows, lines, strict=True):
            unsure = answers[Path(row["photo"])] < least
            assert row["unsure"] is unsure
            assert (row["class"] is None) is unsure
            assert row["top"][0]["class"] in ("blue", "red")
            assert line["unsure"] == str(int(unsure))
            assert (line["class"] == "") is unsure
        count = sum(row["unsure"] for row in rows)
        assert 0 < count < len(rows)
        assert f"Unsure of {count} of {len(rows)} photos" in result.stderr

    def test_as_text_and_from_python(self, unsure_run: Path, photos: Path, invoke: Invoke) -> None:
        photo = photos / "val" / "red" / "00.png"
        result = invoke("predict", unsure_run, photo, "--min-confidence", 1)
        assert "  unsure: red 0." in result.stdout
        assert "unsure" not in invoke("predict", unsure_run, photo).stdout
        (answer,) = neurenix.load(unsure_run).predict(photo, min_confidence=1.0)
        assert answer.is_unsure
        assert answer.label == "red"
        assert "unsure" in repr(answer)

    @pytest.mark.parametrize("value", [-0.1, 1.1, "nan"])
    def test_is_a_probability(self, value: object, run: Path, invoke: Invoke) -> None:
        result = invoke("predict", run, run / "report.png", "--min-confidence", value)
        assert result.exit_code == 2
        assert "between 0 and 1" in result.stderr


class TestExplain:
    def test_writes_a_picture_a_photo(
        self, run: Path, photos: Path, invoke: Invoke, tmp_path: Path
    ) -> None:
        folder = tmp_path / "why" / "deep"
        result = invoke("predict", run, photos / "val", "--explain", folder, "--json")
        assert result.exit_code == 0, result.output
        rows = json.loads(result.stdout)
        pictures = [Path(row["explanation"]) for row in rows]
        # Both classes have a 00.png: no picture replaces another.
        assert sorted(pictures) == sorted(folder.iterdir())
        assert len(set(pictures)) == len(rows) == 7
        first = rows[0]
        with Image.open(first["explanation"]) as picture:
            pixels = np.asarray(picture)
        expected = grad_cam(neurenix.load(run), first["photo"])
        assert (pixels == expected.overlay()).all()
        assert expected.label == first["class"]
        assert "Wrote 7 pictures" in result.stderr

    def test_a_photo_of_a_predictor(self, run: Path, photos: Path) -> None:
        predictor = neurenix.load(run)
        photo = photos / "val" / "red" / "00.png"
        found = grad_cam(predictor, photo, "blue")
        assert (found.index, found.label, found.layer) == (0, "blue", "base_model.body")
        assert found.values.shape == found.photo.shape[:2] == (16, 16)
        assert (found.values == grad_cam(predictor, read_photo(photo), 0).values).all()
        with pytest.raises(ValueError, match="expected one photo, got 3"):
            grad_cam(predictor, photos / "val" / "red")
        with pytest.raises(ValueError, match="there are blue, red"):
            grad_cam(predictor, photo, "green")


class TestFiles:
    def test_the_snippet_of_the_card_runs(
        self, run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        card = (run / "README.md").read_text()
        code = re.search(r"```python\n(.*?)```", card, re.DOTALL)
        assert code is not None
        (run / "photo.jpg").write_bytes((photos / "val" / "red" / "00.png").read_bytes())
        monkeypatch.chdir(run)
        exec(compile(code.group(1), "README.md", "exec"), {})
        assert capsys.readouterr().out.startswith("photo.jpg red ")

    def test_the_card_names_the_licence_of_the_weights(
        self, fine_tune: Invoke, weights: Path, tmp_path: Path
    ) -> None:
        licensed = tmp_path / "licensed.safetensors"
        save_safetensors(licensed, load_safetensors(weights), {"licence": "CC BY-NC 4.0"})
        assert fine_tune("--weights", licensed).exit_code == 0
        out = tmp_path / "out"
        assert "CC BY-NC 4.0" in (out / "README.md").read_text()
        assert safetensors_metadata(out / "model.safetensors")["licence"] == "CC BY-NC 4.0"
        assert json.loads((out / "run.json").read_text())["weights"]["licence"] == "CC BY-NC 4.0"

    def test_the_page_shows_the_run(self, unsure_run: Path) -> None:
        page = (unsure_run / "report.html").read_text()
        record = json.loads((unsure_run / "run.json").read_text())
        validation = record["result"]["validation"]
        assert f"{validation['correct']} of {validation['total']}" in page
        assert "really-blue.png" in page
        assert page.count('class="map"') == page.count("<figure") > 0
        assert "weight decay" in page
        assert set(record["timings"]) == {"decoding", "training", "evaluation"}

    def test_a_readme_of_ones_own_is_not_replaced(self, fine_tune: Invoke, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "README.md").write_text("mine")
        result = fine_tune()
        assert result.exit_code == 2
        assert "README.md" in result.stderr
        assert (tmp_path / "out" / "README.md").read_text() == "mine"

    def test_evaluate_from_python_agrees_with_the_record(
        self, unsure_run: Path, photos: Path
    ) -> None:
        record = json.loads((unsure_run / "run.json").read_text())["result"]["validation"]
        found = evaluate(neurenix.load(unsure_run), photos)
        assert found.summary() == record
        (index,) = found.most_wrong(3)
        assert found.paths[index].name == "really-blue.png"
