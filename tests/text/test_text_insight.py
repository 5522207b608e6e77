"""What a run on texts says of its model: calibration, page and card; answers that are unsure."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import neurenix
from neurenix.cli.shell import app
from neurenix.data import TextDataset, TextFileError, read_texts
from neurenix.io import load_safetensors, safetensors_metadata, save_safetensors
from neurenix.transfer import (
    DataError,
    LabelError,
    TextPredictor,
    calibrate,
    evaluate,
    grad_cam,
)
from neurenix_transfer.runs import measuring
from neurenix_transfer.texts.layout import find_layout

pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")

WORDS = {"spam": "free prize win <b>& call</b>", "ham": "see you at home the good"}


def invoke(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seventy messages, of which ten are spam that says it is ham."""
    lines = [f"{label}\t{WORDS[label]} {number}" for number in range(30) for label in WORDS]
    lines += [f"ham\t{WORDS['spam']} {number}" for number in range(30, 40)]
    path = tmp_path_factory.mktemp("texts") / "messages.tsv"
    path.write_text("label\ttext\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def fine_tune(messages: Path, text_encoder: Path) -> Callable[..., Result]:
    def run(*arguments: Any) -> Result:
        return invoke("fine-tune", messages, "--text", "--base", text_encoder, *arguments)

    return run


@pytest.fixture(scope="module")
def out(fine_tune: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "out"
    result = fine_tune("--out", folder, "--lr", 0.1, "--epochs", 20)
    assert result.exit_code == 0, result.output
    assert "Calibration: temperature" in result.stdout
    assert "report.html" in result.stdout
    return folder


class TestCalibration:
    def test_is_in_the_file_and_the_record_and_is_used(self, out: Path, messages: Path) -> None:
        record = read_json(out / "run.json")["result"]["calibration"]
        metadata = safetensors_metadata(out / "model.safetensors")
        assert float(metadata["temperature"]) == record["temperature"] != 1.0
        predictor = neurenix.load(out)
        assert predictor.temperature == record["temperature"]
        val = find_layout(messages).val
        rows = np.arange(len(val))

        def loss() -> float:
            shares = np.stack(list(predictor.probabilities(val.texts)))
            return float(-np.log(shares[rows, val.labels]).mean())

        assert loss() == pytest.approx(record["nll"]["after"], rel=1e-9)
        predictor.temperature = 1.0
        assert loss() == pytest.approx(record["nll"]["before"], rel=1e-9)
        assert record["nll"]["after"] < record["nll"]["before"]

    def change(self, out: Path, folder: Path, temperature: str | None) -> Path:
        metadata = safetensors_metadata(out / "model.safetensors")
        del metadata["temperature"]
        if temperature is not None:
            metadata["temperature"] = temperature
        file = folder / "model.safetensors"
        save_safetensors(file, load_safetensors(out / "model.safetensors"), metadata)
        return file

    def test_files_of_before_have_none(self, out: Path, tmp_path: Path) -> None:
        assert neurenix.load(self.change(out, tmp_path, None)).temperature == 1.0

    @pytest.mark.parametrize("text", ["0", "nan", "warm"])
    def test_a_damaged_one_is_an_error(self, text: str, out: Path, tmp_path: Path) -> None:
        self.change(out, tmp_path, text)
        result = invoke("predict", tmp_path, "free prize")
        assert result.exit_code == 2
        assert "metadata is damaged" in result.stderr


class TestFromPython:
    @pytest.fixture
    def predictor(self, out: Path) -> TextPredictor:
        predictor = neurenix.load(out)
        assert isinstance(predictor, TextPredictor)
        return predictor

    @pytest.fixture
    def val(self, messages: Path) -> TextDataset:
        return find_layout(messages).val

    def test_calibrating_finds_the_runs_temperature_again(
        self, predictor: TextPredictor, val: TextDataset
    ) -> None:
        expected, predictor.temperature = predictor.temperature, 5.0
        found = calibrate(predictor, val.texts, [val.classes[n] for n in val.labels or []])
        assert found.temperature == predictor.temperature == expected

    def test_saving_keeps_the_temperature_and_every_bit_of_the_model(
        self, predictor: TextPredictor, out: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "run").mkdir()
        predictor.temperature = 2.0
        for path in (tmp_path / "copy.safetensors", tmp_path / "run"):
            predictor.save(path)
            again = neurenix.load(path)
            assert again.temperature == 2.0
            assert again.classes == predictor.classes
            rows = [list(each.logits(["free prize"])) for each in (predictor, again)]
            assert rows[0][0].tobytes() == rows[1][0].tobytes()
        metadata = [
            safetensors_metadata(file / "model.safetensors") for file in (out, tmp_path / "run")
        ]
        assert metadata[1] == {**metadata[0], "temperature": "2.0"}

    def test_evaluating_gives_the_runs_figures_for_texts_in_any_form(
        self, predictor: TextPredictor, val: TextDataset, out: Path, tmp_path: Path
    ) -> None:
        expected = read_json(out / "run.json")["result"]["validation"]
        names = [val.classes[number] for number in val.labels or []]
        lines = "".join(f"{n}\t{text}\n" for n, text in zip(names, val.texts, strict=True))
        file = tmp_path / "val.tsv"
        file.write_text("label\ttext\n" + lines, encoding="utf-8")
        other_order = TextDataset(val.texts, names, classes=["spam", "ham"])
        for data, labels in (
            (val.texts, names),
            (val.texts, np.array(val.labels)),
            (val, None),
            (other_order, None),
            (file, None),
            (str(file), None),
            (read_texts(file), None),
        ):
            found = evaluate(predictor, data, labels)
            assert found.summary() == expected
        assert found.classes == ("ham", "spam")
        assert found.paths == ()

    def test_what_does_not_fit_is_an_error(self, predictor: TextPredictor, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="labels are missing"):
            evaluate(predictor, ["free prize"])
        with pytest.raises(DataError, match="2 texts and 1 labels"):
            evaluate(predictor, ["free", "prize"], ["spam"])
        with pytest.raises(DataError, match="no text"):
            calibrate(predictor, [], [])
        with pytest.raises(DataError, match=r"data\[1\] is a int"):
            evaluate(predictor, ["free", 3], [0, 0])
        with pytest.raises(LabelError, match="'eggs'; the classes are ham, spam"):
            evaluate(predictor, ["free"], ["eggs"])
        with pytest.raises(TextFileError, match="there is no file"):
            evaluate(predictor, tmp_path / "nosuch.csv")
        with pytest.raises(ValueError, match="has its own"):
            evaluate(predictor, ["free"], [0], classes=["a", "b"])
        with pytest.raises(TypeError, match="shown of photos only"):
            grad_cam(predictor, "free prize")


class TestMinConfidence:
    def test_below_it_the_answer_is_unsure(self, out: Path, tmp_path: Path) -> None:
        texts = ["free prize win call now", "see you at home", "bad", "call the good home"]
        sure = [each.probability for each in neurenix.load(out).predict(texts)]
        least = sum(sorted(sure)[1:3]) / 2
        table = tmp_path / "table.csv"
        result = invoke(
            "predict", out, *texts, "--min-confidence", least, "--json", "--csv", table
        )  # fmt: skip
        assert result.exit_code == 0  # unsure is an answer
        rows = json.loads(result.stdout)
        with table.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        for row, line, probability in zip(rows, lines, sure, strict=True):
            unsure = probability < least
            assert row["probability"] == probability
            assert row["unsure"] is unsure
            assert (row["class"] is None) is unsure
            assert line["unsure"] == str(int(unsure))
            assert (line["class"] == "") is unsure
        assert "Unsure of 2 of 4 texts" in result.stderr

    def test_as_text(self, out: Path) -> None:
        result = invoke("predict", out, "see you at home", "--min-confidence", 1)
        assert "  unsure: ham 0." in result.stdout
        assert "unsure" not in invoke("predict", out, "see you at home").stdout

    @pytest.mark.parametrize("value", [-0.1, 1.1, "nan"])
    def test_is_a_probability(self, value: object, out: Path) -> None:
        result = invoke("predict", out, "free prize", "--min-confidence", value)
        assert result.exit_code == 2
        assert "between 0 and 1" in result.stderr


def test_explaining_is_for_photos(out: Path, tmp_path: Path) -> None:
    result = invoke("predict", out, "free prize", "--explain", tmp_path / "why")
    assert result.exit_code == 2
    assert "--explain is for models of photos, and this one is of texts" in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "why").exists()


class TestPage:
    def test_shows_the_run(self, out: Path) -> None:
        page = (out / "report.html").read_text(encoding="utf-8")
        record = read_json(out / "run.json")
        validation = record["result"]["validation"]
        assert f"{validation['correct']} of {validation['total']}" in page
        wrong = validation["total"] - validation["correct"]
        assert page.count("<blockquote") == page.count("<figure") == wrong > 0
        assert ">texts<" in page
        assert "photo" not in page
        assert "weight decay" in page
        assert set(record["timings"]) == {"reading", "training", "evaluation"}

    def test_texts_stay_texts(self, out: Path) -> None:
        page = (out / "report.html").read_text(encoding="utf-8")
        assert "&lt;b&gt;&amp; call&lt;/b&gt;" in page
        assert "<b>" not in page


class TestCard:
    def test_says_what_it_is_and_how_good(self, out: Path, text_encoder: Path) -> None:
        card = (out / "README.md").read_text(encoding="utf-8")
        validation = read_json(out / "run.json")["result"]["validation"]
        assert "pipeline_tag: text-classification" in card
        assert f'base_model: "{text_encoder.name}"' in card
        assert str(text_encoder.parent) not in card
        assert f"({validation['correct']} of {validation['total']})" in card
        assert "temperature of its probabilities" in card
        assert "photo" not in card

    def test_its_snippet_runs(
        self, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        card = (out / "README.md").read_text(encoding="utf-8")
        code = re.search(r"```python\n(.*?)```", card, re.DOTALL)
        assert code is not None
        monkeypatch.chdir(out)
        exec(compile(code.group(1), "README.md", "exec"), {})
        assert re.match(r"a new message (ham|spam) 0\.\d+ (True|False)\n", capsys.readouterr().out)

    @pytest.mark.parametrize("recipe", ["probe", "lp-ft", "progressive"])
    def test_says_whether_a_recipe_trained_the_base(
        self, fine_tune: Callable[..., Result], text_encoder: Path, tmp_path: Path, recipe: str
    ) -> None:
        folder = tmp_path / "out"
        result = fine_tune("--out", folder, "--recipe", recipe, "--epochs", 3)
        assert result.exit_code == 0, result.output
        before = neurenix.models.bert(text_encoder).state_dict()
        after = neurenix.load(folder).model.get_base_model().state_dict()
        moved = any(
            not np.array_equal(before[name].numpy(), after[name].numpy()) for name in before
        )
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert f"(recipe {recipe}, phase " in card
        assert ("learned too" in card) is moved
        assert ("stayed as they are" in card) is not moved
        if recipe != "lp-ft":  # of which the best weights may be the probe's
            assert moved is (recipe == "progressive")

    def test_counts_what_learned_in_the_weights_that_are_kept(
        self, fine_tune: Callable[..., Result], tmp_path: Path
    ) -> None:
        folder = tmp_path / "out"
        # So high a rate of the base that its fine-tuning makes things worse: the probe is kept.
        given = ("--recipe", "lp-ft", "--unfreeze", "encoder.layer.1", "--base-lr", 3)
        result = fine_tune("--out", folder, "--epochs", 1, *given)
        assert "Kept the probe, of the lowest validation loss" in result.stdout
        model = read_json(folder / "run.json")["model"]
        assert model["trained_layers"] == []
        assert model["trained_parameters"] == 2 * 32 + 2
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert "stayed as they are, with a new head (recipe lp-ft, phase probe)" in card
        assert "| of them trained | 66 |" in card
        assert "of which 66 were trained" in (folder / "report.html").read_text(encoding="utf-8")

    def test_names_the_layers_that_learned(
        self, fine_tune: Callable[..., Result], tmp_path: Path
    ) -> None:
        folder = tmp_path / "out"
        result = fine_tune("--out", folder, "--epochs", 1, "--unfreeze", "encoder.layer.1")
        assert result.exit_code == 0, result.output
        assert read_json(folder / "run.json")["model"]["trained_layers"] == ["encoder.layer.1"]
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert "in which encoder.layer.1 learned too, with a new head" in card

    def test_names_the_licence_of_the_weights(
        self, fine_tune: Callable[..., Result], text_encoder: Path, tmp_path: Path
    ) -> None:
        base = tmp_path / "licensed"
        base.mkdir()
        for file in text_encoder.iterdir():
            (base / file.name).write_bytes(file.read_bytes())
        weights = base / "model.safetensors"
        save_safetensors(weights, load_safetensors(weights), {"license": "CC BY-NC 4.0"})
        folder = tmp_path / "out"
        assert fine_tune("--base", base, "--out", folder, "--epochs", 1).exit_code == 0
        assert "CC BY-NC 4.0" in (folder / "README.md").read_text(encoding="utf-8")
        assert safetensors_metadata(folder / "model.safetensors")["licence"] == "CC BY-NC 4.0"


def test_ctrl_c_while_measuring_keeps_the_weights(
    fine_tune: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "measure_logits", interrupt)
    folder = tmp_path / "out"
    assert fine_tune("--out", folder, "--epochs", 1).exit_code == 130
    assert read_json(folder / "run.json")["interrupted"] is True
    assert read_json(folder / "run.json")["result"]["calibration"] is None
    assert "It was not measured" in (folder / "README.md").read_text(encoding="utf-8")
    assert not (folder / "report.html").exists()
    assert neurenix.load(folder).temperature == 1.0
