"""Figures: accuracy and its interval, recall, confusion, and the photos most wrong."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from neurenix_transfer.insight.evaluation import Evaluation, wilson_interval
from neurenix_transfer.runs.evaluation import evaluation_lines


@pytest.mark.parametrize(
    ("correct", "total", "expected"),
    [
        # Computed with scipy.stats.binomtest(correct, total).proportion_ci(method="wilson").
        (8, 10, (0.4901624715, 0.9433178485)),
        (145, 153, (0.9002235827, 0.9732699504)),
        (0, 20, (0.0, 0.1611251581)),
        (20, 20, (0.8388748419, 1.0)),
    ],
)
def test_wilson_interval(correct: int, total: int, expected: tuple[float, float]) -> None:
    assert wilson_interval(correct, total) == pytest.approx(expected, abs=1e-9)


def test_of_nothing_nothing_is_known() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.fixture
def evaluation() -> Evaluation:
    probabilities = np.array(
        [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.55, 0.45, 0.0]]
    )
    paths = tuple(Path(f"{number}.png") for number in range(5))
    return Evaluation(("a", "b", "c"), np.array([0, 0, 1, 1, 1]), probabilities, paths)


def test_figures(evaluation: Evaluation) -> None:
    assert evaluation.correct == 2
    assert evaluation.accuracy == 0.4
    assert evaluation.confusion.tolist() == [[1, 1, 0], [2, 1, 0], [0, 0, 0]]
    assert evaluation.recall == {"a": 0.5, "b": pytest.approx(1 / 3), "c": None}
    assert evaluation.balanced_accuracy == pytest.approx((1 / 2 + 1 / 3) / 2)
    expected = -sum(math.log(p) for p in (0.9, 0.2, 0.4, 1.0, 0.45)) / 5
    assert evaluation.loss == pytest.approx(expected)


def test_the_most_wrong_photo_is_the_one_whose_class_is_least_believed(
    evaluation: Evaluation,
) -> None:
    assert evaluation.most_wrong(10) == [1, 2, 4]
    assert evaluation.most_wrong(2) == [1, 2]


def test_lines(evaluation: Evaluation) -> None:
    lines = evaluation_lines(evaluation, [0, 0, 1, 2])
    assert [line.split() for line in lines[:4]] == [
        ["class", "train", "val", "recall"],
        ["a", "2", "2", "0.5000"],
        ["b", "1", "3", "0.3333"],
        ["c", "1", "0", "-"],
    ]
    assert len({len(line) for line in lines[:4]}) == 1  # the columns stand below each other
    assert lines[4].startswith("accuracy 0.4000 (2 of 5), 95 % interval 0.118 to 0.769")
