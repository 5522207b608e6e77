"""``neurenix demo``: honest, quick, and repeatable."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neurenix_transfer.demo import experiment
from neurenix_transfer.demo.digits import load_digits
from neurenix_transfer.demo.network import DigitResNet
from neurenix_transfer.demo.run import run_demo

from .conftest import Invoke

pytest.importorskip("sklearn")


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make everything brief: what is printed and drawn stays, what is learnt is little."""
    monkeypatch.setattr(experiment, "PRETRAIN_EPOCHS", 1)
    monkeypatch.setattr(experiment, "EPOCHS", 2)
    monkeypatch.setattr("neurenix_transfer.demo.run.EPOCHS", 2)


def test_the_digits_are_divided_by_class_and_nothing_is_tested_that_was_trained_on() -> None:
    known, new = load_digits()
    assert len(known) + len(new) == 1797
    assert known.names == ("0", "1", "2", "3", "4")
    assert new.names == ("5", "6", "7", "8", "9")
    assert known.images.min() == 0
    assert known.images.max() == 1
    examples, test = new.draw(10, seed=0)
    assert np.bincount(examples.labels).tolist() == [10] * 5
    assert len(examples) + len(test) == len(new)
    trained = {image.tobytes() for image in examples.images}
    everything = [image.tobytes() for image in new.images]
    assert len(set(everything)) == len(everything)
    assert not trained & {image.tobytes() for image in test.images}


def test_draws_follow_their_seed() -> None:
    _, new = load_digits()
    first, again, other = (new.draw(10, seed)[0].images for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.usefixtures("brief")
def test_both_ways_see_the_same_examples_and_leave_the_pretrained_network_alone() -> None:
    known, new = load_digits()
    pretrained = experiment.pretrain(known)
    assert isinstance(pretrained, DigitResNet)
    before = {name: value.numpy().copy() for name, value in pretrained.state_dict().items()}
    steps: list[int] = []
    draw = experiment.compare(pretrained, new, 0, lambda: steps.append(1))
    assert len(steps) == 4
    assert draw.scratch.epochs == draw.transfer.epochs == [1, 2]
    assert draw.scratch.probabilities.shape == draw.transfer.probabilities.shape == (846, 5)
    for name, value in pretrained.state_dict().items():
        assert np.array_equal(value.numpy(), before[name]), name


@pytest.mark.usefixtures("brief")
def test_prints_both_side_by_side_and_saves_the_picture(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("demo", "--out", tmp_path / "demo", "--seeds", 2)
    assert result.exit_code == 0, result.output
    assert "from scratch" in result.stdout
    assert "with transfer" in result.stdout
    assert "of 846" in result.stdout
    assert "2 draws of examples" in result.stdout
    with Image.open(tmp_path / "demo" / "demo.png") as picture:
        assert picture.width > 1000

    again = invoke("demo", "--out", tmp_path / "demo")
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert "Pretraining" not in again.stdout


def test_without_scikit_learn_the_install_line_is_named(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    result = invoke("demo", "--out", tmp_path)
    assert result.exit_code == 2
    assert 'pip install "neurenix[demo]"' in result.stderr


@pytest.mark.slow
def test_transfer_helps(tmp_path: Path) -> None:
    draws = run_demo(tmp_path, seeds=3)
    scratch, transfer = (
        np.array([curve.accuracy for curve in curves])
        for curves in ([draw.scratch for draw in draws], [draw.transfer for draw in draws])
    )
    assert transfer[:, 0].mean() > scratch[:, 0].mean() + 0.3  # after one epoch
    assert transfer[:, -1].mean() > scratch[:, -1].mean()  # and at the end
    assert transfer[:, -1].mean() > 0.9
    assert scratch[:, -1].mean() > 0.85  # it was given a fair chance
