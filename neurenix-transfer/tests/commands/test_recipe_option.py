"""``neurenix fine-tune --recipe`` on photos."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neurenix import models
from neurenix.cli.shell import app

from .conftest import Invoke


@pytest.mark.parametrize("recipe", ["probe", "lp-ft", "progressive", "auto"])
def test_a_run_by_a_recipe(
    fine_tune: Invoke, invoke: Invoke, photos: Path, tmp_path: Path, recipe: str
) -> None:
    result = fine_tune("--recipe", recipe)
    assert result.exit_code == 0, result.output
    assert f"Training: recipe {recipe}" in result.stdout
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    followed = "probe" if recipe == "auto" else recipe  # so few photos tell nothing
    assert record["options"]["recipe"] == recipe
    assert record["result"]["recipe"] == followed
    assert len(history["phases"]) == len(history["val_loss"]) == record["result"]["epochs"]
    phase = history["phases"][history["best_epoch"]]
    assert ("Kept the probe, " if phase == "probe" else f" of 2 ({phase}), ") in result.stdout
    figures = json.loads(invoke("evaluate", tmp_path / "out", photos, "--json").stdout)
    assert figures["accuracy"] == record["result"]["validation"]["accuracy"]


def test_auto_says_why(fine_tune: Invoke, tmp_path: Path) -> None:
    result = fine_tune("--recipe", "auto")
    reason = json.loads((tmp_path / "out" / "run.json").read_text())["result"]["reason"]
    assert "too few to compare recipes" in reason
    assert reason in result.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("--base resnet1", ["resnet101", "resnet152", "resnet18"]),
        ("--base b", []),
        ("--text --base ", []),
    ],
)
def test_shells_complete_bases_for_photos(
    monkeypatch: pytest.MonkeyPatch, typed: str, offered: list[str]
) -> None:
    monkeypatch.setenv("_NEURENIX_COMPLETE", "complete_bash")
    words = f"neurenix fine-tune photos {typed}"
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    found = CliRunner().invoke(app, prog_name="neurenix").stdout.split()
    assert sorted(found) == offered


def test_help_names_the_bases_for_photos(invoke: Invoke) -> None:
    words = re.split(r"[\s│,;]+", invoke("fine-tune", "--help").stdout)
    assert {name for name in models.names("photos") if name != "tiny_base"} <= {*words}
    assert "bert" not in words


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--recipe", "best"), "--recipe is one of"),
        (("--recipe", "probe", "--unfreeze", "body"), "leaves the base as it is"),
        (("--cache", "never"), "--cache is one of"),
        (("--text-column", "text"), "add --text"),
    ],
)
def test_options_that_do_not_go_together(
    fine_tune: Invoke, tmp_path: Path, arguments: tuple[str, ...], what: str
) -> None:
    result = fine_tune(*arguments)
    assert result.exit_code != 0
    assert what in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()
