"""``neurenix export``, with an exporter that writes down what it is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from neurenix.errors import MissingDependencyError, NeurenixError, PluginError
from neurenix.io import save_safetensors
from neurenix_transfer import exporters
from neurenix_transfer.exporters import UnknownTargetError, find_exporter
from neurenix_transfer.photos.predictor import load_photo_predictor

from .conftest import Invoke


class Point:
    """An entry point."""

    dist = None

    def __init__(self, name: str, loaded: Any) -> None:
        self.name = name
        self.value = f"somewhere:{name}"
        self.loaded = loaded

    def load(self) -> Any:
        if isinstance(self.loaded, BaseException):
            raise self.loaded
        return self.loaded


class Refused(NeurenixError):
    pass


def write_down(model: Any, folder: Path, **facts: Any) -> None:
    assert not model.training
    folder.mkdir(parents=True)
    (folder / "facts.json").write_text(json.dumps(facts))


def refuse(model: Any, folder: Path, **facts: Any) -> None:
    raise Refused("the op 'sort' cannot be had there")


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        Point("notes", write_down),
        Point("nothing", refuse),
        Point("broken", SystemExit(3)),
    ]
    monkeypatch.setattr(exporters, "_declared", lambda: points)


def test_an_exporter_is_given_all_of_the_model(invoke: Invoke, run: Path) -> None:
    predictor = load_photo_predictor(run)
    predictor.temperature = 1.25
    predictor.save(run)
    options = ("--title", "Which?", "--min-confidence", 0.7, "--overwrite")
    result = invoke("export", run, "--to", "notes", *options)
    assert result.exit_code == 0, result.output
    folder = run.with_name("out-notes")
    assert f"Wrote {folder} (0.0 MB)" in result.output
    assert json.loads((folder / "facts.json").read_text()) == {
        "classes": ["blue", "red"],
        "preprocessing": dict(predictor.preprocessing),
        "base": "tiny_base",
        "temperature": 1.25,
        "min_confidence": 0.7,
        "title": "Which?",
        "licence": "",
        "overwrite": True,
    }


def test_out_names_the_folder(invoke: Invoke, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "above" / "there"
    result = invoke("export", run / "model.safetensors", "--to", "notes", "--out", out)
    assert result.exit_code == 0, result.output
    assert json.loads((out / "facts.json").read_text())["min_confidence"] is None


def test_what_an_exporter_refuses_is_one_message(invoke: Invoke, run: Path) -> None:
    result = invoke("export", run, "--to", "nothing")
    assert result.exit_code == 2
    assert "Error: the op 'sort' cannot be had there" in result.output


def test_a_confidence_beyond_one_is_refused(invoke: Invoke, run: Path) -> None:
    result = invoke("export", run, "--to", "notes", "--min-confidence", 80)
    assert result.exit_code == 2
    assert "between 0 and 1" in result.output
    assert not run.with_name("out-notes").exists()


def test_a_folder_without_a_model_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("export", tmp_path, "--to", "notes")
    assert result.exit_code == 2
    assert "no model in" in result.output


def test_models_of_texts_are_refused(invoke: Invoke, tmp_path: Path) -> None:
    metadata = {"format": "neurenix-text-classifier-1"}
    save_safetensors(tmp_path / "model.safetensors", {}, metadata)
    result = invoke("export", tmp_path, "--to", "notes")
    assert result.exit_code == 2
    assert "export is for models of photos" in result.output


def test_a_missing_distribution_is_named_with_its_install_line() -> None:
    with pytest.raises(MissingDependencyError, match="pip install neurenix-backend-webgpu"):
        find_exporter("web")


def test_an_unknown_target_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownTargetError, match="broken, notes, nothing, web"):
        find_exporter("paper")


def test_an_exporter_that_cannot_be_loaded_is_named() -> None:
    with pytest.raises(PluginError, match=r"'broken' of an unknown distribution.*SystemExit: 3"):
        find_exporter("broken")
