"""The picture of a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.photos.report import draw_photos
from neurenix_transfer.runs.report import DrawSamples, Report, draw_report, save_report


def make_report(
    classes: int = 2, photos: int = 20, wrong: int = 3, epochs: int = 4
) -> tuple[Report, DrawSamples]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, photos)
    probabilities = np.full((photos, classes), 0.1)
    probabilities[np.arange(photos), labels] = 1.0
    for index in range(wrong):
        probabilities[index, (labels[index] + 1) % classes] = 2.0 + index
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    names = tuple(f"class ${number}_x" for number in range(classes))
    paths = tuple(Path(f"{number}.png") for number in range(photos))
    falling = [1 / (1 + epoch) for epoch in range(epochs)]
    history = {
        "train_loss": falling,
        "val_loss": falling,
        "train_accuracy": [1 - value / 2 for value in falling],
        "val_accuracy": [1 - value / 2 for value in falling],
    }
    pixels = [generator.integers(0, 256, (16, 24, 3)).astype(np.uint8) for _ in range(photos)]
    evaluation = Evaluation(names, labels, probabilities, paths)
    report = Report("a title", history, epochs - 1, evaluation, "photo")
    return report, partial(draw_photos, photos=pixels)


def texts(report: Report, draw: DrawSamples) -> list[str]:
    figure: Any = draw_report(report, draw)
    found = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        found += [text.get_text() for text in axes.texts]
        found += [axes.get_title(loc="left")]
    return found


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"wrong": 0},
        {"wrong": 1},
        {"wrong": 20},
        {"epochs": 1},
        {"classes": 14},
        {"classes": 60, "photos": 90},
    ],
)
def test_is_drawn_whatever_came_out(shape: dict[str, int], tmp_path: Path) -> None:
    path = tmp_path / "report.png"
    save_report(path, *make_report(**shape))
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[0] > 1000
    assert pixels.std() > 5  # it is not blank


def test_names_the_figures_and_the_epoch_kept() -> None:
    found = texts(*make_report())
    assert "a title" in found
    assert any("17 of 20 photos" in text for text in found)
    assert any("epoch 4 is kept" in text for text in found)
    assert {"Loss", "Accuracy", "Confusion", "The 3 wrong photos, the most wrong first"} <= set(
        found
    )


def test_shows_the_truth_beside_the_prediction() -> None:
    report, draw = make_report(wrong=1)
    found = texts(report, draw)
    evaluation = report.evaluation
    assert f"truth: {evaluation.classes[evaluation.labels[0]]}" in found
    predicted = evaluation.classes[evaluation.predicted[0]]
    assert any(text.startswith(f"{predicted} ") and text.endswith(" %") for text in found)


def test_where_none_is_wrong_the_least_certain_are_shown() -> None:
    assert "No photo is wrong; these are the least certain" in texts(*make_report(wrong=0))
