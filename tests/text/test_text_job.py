"""``neurenix fine-tune --text``: a file of texts in, a fine-tuned model out."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import neurenix
from neurenix.cli.shell import app
from neurenix.io import safetensors_metadata
from neurenix_transfer.runs import training
from neurenix_transfer.texts.layout import find_layout

pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")

Invoke = Callable[..., Result]
WORDS = {"spam": "free prize win call now", "ham": "see you at home the good"}


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty messages, of which some are copies, in unquoted tsv."""
    lines = [f"{label}\t{WORDS[label]} {number // 2}" for number in range(30) for label in WORDS]
    path = tmp_path_factory.mktemp("texts") / "messages.tsv"
    path.write_text('label\ttext\nham\t"see you\n' + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def invoke(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def out(messages: Path, text_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; the encoder it was made from is no longer there."""
    place = tmp_path_factory.mktemp("run")
    base = shutil.copytree(text_encoder, place / "base")
    result = invoke(
        "fine-tune", messages, "--text", "--base", base, "--out", place / "out", "--lr", 0.03
    )
    assert result.exit_code == 0, result.output
    assert "61 rows of" in result.stdout
    assert "are copies of others" in result.stdout
    shutil.rmtree(base)
    return place / "out"


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_writes_what_a_run_on_photos_writes(out: Path) -> None:
    for name in ("model.safetensors", "history.json", "run.json", "report.png"):
        assert (out / name).stat().st_size > 100
    record = read_json(out / "run.json")
    assert record["texts"]["rows"] == 61
    assert record["texts"]["text_column"] == "text"
    assert sum(record["texts"]["train"].values()) + sum(record["texts"]["val"].values()) == 61
    assert record["result"]["validation"]["accuracy"] > 0.9
    history = read_json(out / "history.json")
    assert len(history["val_loss"]) == 10
    assert history["best_epoch"] == int(np.argmin(history["val_loss"]))


def test_the_model_carries_its_tokenizer_and_configuration(out: Path) -> None:
    metadata = safetensors_metadata(out / "model.safetensors")
    assert json.loads(metadata["classes"]) == ["ham", "spam"]
    assert json.loads(metadata["config"])["hidden_size"] == 32
    assert "definition" in metadata["preprocessing"]


def test_predicts_messages_without_the_base(out: Path) -> None:
    result = invoke("predict", out, "free prize now", "see you at home", "--json", "--top", 2)
    assert result.exit_code == 0, result.output
    answers = json.loads(result.stdout)
    assert [each["class"] for each in answers] == ["spam", "ham"]
    assert answers[0]["text"] == "free prize now"
    assert sum(each["probability"] for each in answers[0]["top"]) == pytest.approx(1.0)


def test_a_message_is_taken_as_it_is(out: Path) -> None:
    text = "win now: http://prize.com/./free  "
    answers = json.loads(invoke("predict", out, text, "--json").stdout)
    assert answers[0]["text"] == text


@pytest.mark.parametrize("name", ["new.txt", "new.csv", "new.jsonl"])
def test_predicts_the_texts_of_a_file(out: Path, tmp_path: Path, name: str) -> None:
    contents = {
        "new.txt": "free prize\n\nsee you\n",
        "new.csv": "text\nfree prize\nsee you\n",
        "new.jsonl": '{"text": "free prize"}\n{"text": "see you"}\n',
    }
    (tmp_path / name).write_text(contents[name], encoding="utf-8")
    result = invoke("predict", out, tmp_path / name, "--csv", tmp_path / "answers.csv")
    assert result.exit_code == 0, result.output
    with open(tmp_path / "answers.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == ["free prize", "see you"]
    assert [row["class"] for row in rows] == ["spam", "ham"]


def test_says_of_which_texts_it_is_unsure(out: Path) -> None:
    result = invoke("predict", out, "free prize", "--min-confidence", 1.0, "--json")
    (answer,) = json.loads(result.stdout)
    assert answer["class"] is None
    assert answer["unsure"] is True


def test_evaluates_as_the_run_did(out: Path, messages: Path, tmp_path: Path) -> None:
    layout = find_layout(messages)
    rows = zip(layout.val.labels or [], layout.val.texts, strict=True)
    lines = [f"{layout.classes[label]}\t{text}" for label, text in rows]
    (tmp_path / "val.tsv").write_text("label\ttext\n" + "\n".join(lines) + "\n", encoding="utf-8")
    result = invoke("evaluate", out, tmp_path / "val.tsv", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == read_json(out / "run.json")["result"]["validation"]


def test_load_gives_a_predictor_of_texts(out: Path) -> None:
    predictor = neurenix.load(out)
    alone = predictor.predict("free prize")[0]
    _, beside = predictor.predict(["see you at home the good " * 5, "free prize"])
    assert alone.label == "spam"
    np.testing.assert_array_equal(alone.probabilities, beside.probabilities)


def test_texts_that_are_alike_stay_on_one_side(messages: Path) -> None:
    for seed in range(5):
        layout = find_layout(messages, seed=seed)
        assert not {*layout.train.texts} & {*layout.val.texts}
        assert len(layout.train) + len(layout.val) == 61


def test_the_same_seed_gives_the_same_bits(
    messages: Path, text_encoder: Path, tmp_path: Path
) -> None:
    models = []
    for name, cache in (("a", "auto"), ("b", "off")):
        result = invoke(
            "fine-tune", messages, "--text", "--base", text_encoder, "--epochs", 2,
            "--cache", cache, "--out", tmp_path / name,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        models.append((tmp_path / name / "model.safetensors").read_bytes())
    assert models[0] == models[1]


@pytest.mark.parametrize("recipe", ["probe", "lp-ft", "progressive", "auto"])
def test_follows_a_recipe(messages: Path, text_encoder: Path, tmp_path: Path, recipe: str) -> None:
    result = invoke(
        "fine-tune", messages, "--text", "--base", text_encoder, "--epochs", 2, "--recipe", recipe,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    result_record = read_json(tmp_path / "out" / "run.json")["result"]
    assert result_record["recipe"] == ("probe" if recipe == "auto" else recipe)
    phases = read_json(tmp_path / "out" / "history.json")["phases"]
    assert len(phases) == result_record["epochs"]


def test_ctrl_c_keeps_the_best_weights(
    messages: Path, text_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = training.fine_tune

    def interrupted(*args: Any, **options: Any) -> Any:
        def interrupt(epoch: int) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

        return real(*args, **options, callbacks=[interrupt])

    monkeypatch.setattr(training, "fine_tune", interrupted)
    out = tmp_path / "out"
    result = invoke("fine-tune", messages, "--text", "--base", text_encoder, "--out", out)
    assert result.exit_code == 130
    assert read_json(out / "run.json")["interrupted"] is True
    assert invoke("predict", out, "free prize").exit_code == 0


def test_a_file_without_a_header_and_a_folder_without_a_name(
    messages: Path, text_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mail.tsv"
    lines = messages.read_text(encoding="utf-8").splitlines(keepends=True)[2:]
    file.write_text("".join(lines), encoding="utf-8")
    base = shutil.copytree(text_encoder, tmp_path / "mini" / "model")
    result = invoke("fine-tune", file, "--text", "--base", base, "--dry-run")
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    assert "texts in column 1, labels in column 0 (counted from 0; no header)" in said
    assert "Base: mini, frozen" in said
    assert "A run would write mail-mini" in said


class TestErrors:
    def run(self, base: Path, *arguments: Any) -> str:
        result = invoke("fine-tune", *arguments, "--base", base)
        assert result.exit_code != 0
        return " ".join(result.output.split())

    def test_a_file_without_the_flag(self, messages: Path, text_encoder: Path) -> None:
        assert "add --text" in self.run(text_encoder, messages)

    def test_options_of_photos(self, messages: Path, text_encoder: Path) -> None:
        assert "--augment is for photos" in self.run(text_encoder, messages, "--text", "--augment")

    def test_a_base_that_is_not_there(self, messages: Path, tmp_path: Path) -> None:
        assert "config.json" in self.run(tmp_path / "nosuch", messages, "--text")

    def test_a_file_that_is_not_there(self, text_encoder: Path, tmp_path: Path) -> None:
        assert "there is no file" in self.run(text_encoder, tmp_path / "no.csv", "--text")

    def test_one_class(self, text_encoder: Path, tmp_path: Path) -> None:
        (tmp_path / "one.csv").write_text("text,label\na b,x\nc d,x\n", encoding="utf-8")
        assert "only the class 'x'" in self.run(text_encoder, tmp_path / "one.csv", "--text")

    def test_a_column_that_is_not_there(self, messages: Path, text_encoder: Path) -> None:
        output = self.run(text_encoder, messages, "--text", "--text-column", "body")
        assert "there is no column 'body'" in output

    def test_labels_that_a_model_does_not_know(self, out: Path, tmp_path: Path) -> None:
        (tmp_path / "new.csv").write_text("text,label\na b,x\nc d,y\n", encoding="utf-8")
        result = invoke("evaluate", out, tmp_path / "new.csv")
        assert result.exit_code != 0
        assert "does not know: x, y" in " ".join(result.output.split())

    def test_texts_that_are_alike_with_different_labels_are_named(
        self, text_encoder: Path, tmp_path: Path
    ) -> None:
        rows = [f"see {n},ham\nwin {n},spam" for n in range(5)]
        file = tmp_path / "messages.csv"
        file.write_text("text,label\nSee 1,spam\n" + "\n".join(rows), encoding="utf-8")
        assert any("different labels" in warning for warning in find_layout(file).warnings)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    messages: Path, text_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = training.fine_tune

    def run(name: str, *arguments: Any) -> Result:
        return invoke(
            "fine-tune", messages, "--text", "--base", text_encoder, "--epochs", 4,
            "--checkpoints", tmp_path / f"{name}-checkpoints", "--out", tmp_path / name,
            *arguments,
        )  # fmt: skip

    def killed(*args: Any, **options: Any) -> Any:
        def kill(epoch: int) -> None:
            if epoch == 2:
                raise RuntimeError("the power is gone")

        return real(*args, **options, callbacks=[kill])

    assert run("whole").exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr(training, "fine_tune", killed)
        assert run("resumed").exit_code != 0
    assert not (tmp_path / "resumed").exists()
    result = run("resumed", "--resume")
    assert result.exit_code == 0, result.output
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "resumed")]
    assert models[0] == models[1]
    losses = [read_json(tmp_path / n / "history.json")["val_loss"] for n in ("whole", "resumed")]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4


def test_resuming_needs_the_folder_of_checkpoints(messages: Path, text_encoder: Path) -> None:
    result = invoke("fine-tune", messages, "--text", "--base", text_encoder, "--resume")
    assert result.exit_code != 0
    assert "--checkpoints" in result.output
