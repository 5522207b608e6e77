"""``recipe="auto"``: which recipe it chooses, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurenix import nn
from neurenix.data import DataLoader, Dataset, Subset, TextDataset
from neurenix.transfer import TransferModel, adapt
from neurenix_transfer.recipes.choosing import choose
from neurenix_transfer.recipes.copies import group_copies
from neurenix_transfer.recipes.job import Job


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    """Ninety points of two classes that overlap."""
    rng = np.random.default_rng(5)
    labels = np.arange(90) % 2
    points = rng.normal(size=(90, 4)) + 0.5 * (2 * labels[:, None] - 1)
    return points.astype(np.float32), labels


@pytest.fixture
def model(mlp: Any) -> TransferModel:
    return TransferModel(mlp, nn.Linear(8, 2))


def scoring(**right: float) -> Any:
    """A trial in which a recipe is right on a share of each fold."""

    def trial(job: Job, recipe: str, rest: np.ndarray, fold: np.ndarray) -> np.ndarray:
        assert not set(rest) & set(fold)
        share = right[recipe.replace("-", "_")]
        return (np.arange(len(fold)) < share * len(fold)).astype(np.float64)

    return trial


def test_takes_the_recipe_that_is_better_than_chance_explains(model: Any, data: Any) -> None:
    choice, _ = choose(Job(model, *data, verbose=0), scoring(lp_ft=1.0, progressive=0.1))
    assert choice.recipe == "lp-ft"
    assert set(choice.scores) == {"probe", "lp-ft", "progressive"}
    assert "beyond its standard error" in choice.reason


def test_takes_the_better_of_two(model: Any, data: Any) -> None:
    choice, _ = choose(Job(model, *data, verbose=0), scoring(lp_ft=0.9, progressive=1.0))
    assert choice.recipe == "progressive"


def test_takes_the_probe_where_the_gain_may_be_chance(model: Any, data: Any) -> None:
    probed = choose(Job(model, *data, verbose=0), scoring(lp_ft=0.0, progressive=0.0))[0]
    share = probed.scores["probe"]
    choice, _ = choose(Job(model, *data, verbose=0), scoring(lp_ft=share, progressive=share))
    assert choice.recipe == "probe"
    assert "no gain beyond" in choice.reason


def test_tries_no_other_where_the_probe_leaves_little_to_gain(model: Any) -> None:
    labels = np.arange(60) % 2
    points = np.random.default_rng(0).normal(size=(60, 4)) + 20 * labels[:, None]

    def trial(*args: Any) -> Any:
        raise AssertionError("nothing was to be tried")

    choice, _ = choose(Job(model, points.astype(np.float32), labels, verbose=0), trial)
    assert choice.recipe == "probe"
    assert "half of its errors" in choice.reason


def test_takes_the_probe_where_data_are_too_few_to_tell(model: Any, data: Any) -> None:
    points, labels = data
    choice, _ = choose(Job(model, points[:12], labels[:12], verbose=0), scoring())
    assert choice.recipe == "probe"
    assert "6 samples of a class are too few" in choice.reason


def test_does_not_look_at_the_validation_data(model: Any, data: Any) -> None:
    points, labels = data
    trial = scoring(lp_ft=0.7, progressive=0.7)
    reasons = [
        choose(Job(model, points, labels, points, val, verbose=0), trial)[0].reason
        for val in (labels, 1 - labels)
    ]
    assert reasons[0] == reasons[1]


@pytest.mark.parametrize("form", ["array", "list", "dataset"])
def test_real_trials_leave_the_model_and_agree_on_every_form_of_data(
    model: Any, data: Any, form: str
) -> None:
    points, labels = data
    numbers = [int(label) for label in labels]
    inputs: Any = {
        "array": (points, labels),
        "list": (list(points), numbers),
        "dataset": (Dataset(list(points), numbers), None),
    }[form]
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    freezing = [param.requires_grad for param in model.parameters()]
    choice, _ = choose(Job(model, *inputs, epochs=2, verbose=0))
    assert set(choice.scores) == {"probe", "lp-ft", "progressive"}
    assert choice.scores["lp-ft"] == pytest.approx(choice.scores["probe"], abs=0.05)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    assert [param.requires_grad for param in model.parameters()] == freezing


def test_prints_its_reason_and_keeps_it(model: Any, data: Any, capsys: Any) -> None:
    history = adapt(model, *data, recipe="auto", epochs=1)
    assert history.recipe in ("probe", "lp-ft", "progressive")
    assert history.reason is not None
    assert f'Recipe "{history.recipe}": {history.reason}' in capsys.readouterr().out


def test_says_which_options_a_probe_does_not_use(model: Any, data: Any, capsys: Any) -> None:
    points, labels = data
    adapt(model, points[:12], labels[:12], recipe="auto", label_smoothing=0.1)
    assert "Not used by a probe, which follows no gradients: label_smoothing" in (
        capsys.readouterr().out
    )


def test_values_are_compared_by_their_errors(mlp: Any, data: Any) -> None:
    points, _ = data
    model = TransferModel(mlp, nn.Linear(8, 1))
    choice, _ = choose(Job(model, points, points.sum(axis=1), epochs=1, verbose=0))
    assert choice.scores["probe"] < 0.0
    assert "mean absolute error" in choice.reason


@pytest.fixture
def texts() -> TextDataset:
    """Eighty texts of two classes that overlap, of which each stands there twice."""
    rng = np.random.default_rng(5)
    written = [f"text {number // 2}" for number in range(80)]
    labels = [number // 2 % 2 for number in range(80)]
    points = {
        text: (rng.normal(size=4) + 0.5 * (2 * label - 1)).astype(np.float32)
        for text, label in zip(written, labels, strict=True)
    }
    varied = [text.upper() if number % 2 else text for number, text in enumerate(written)]
    return TextDataset(varied, labels, transform=lambda text: points[text.lower()])


@pytest.mark.parametrize("form", ["dataset", "loader", "subset"])
def test_copies_of_a_text_stay_on_one_side_of_every_fold(
    model: Any, texts: TextDataset, form: str
) -> None:
    backwards = list(range(79, -1, -1))
    data: Any = {
        "dataset": texts,
        "loader": DataLoader(texts, batch_size=8),
        "subset": Subset(texts, backwards),
    }[form]
    written = [texts.texts[index].lower() for index in backwards]
    written = written if form == "subset" else written[::-1]
    folds = []

    def trial(job: Job, recipe: str, rest: np.ndarray, fold: np.ndarray) -> np.ndarray:
        assert len(rest) + len(fold) == 80
        assert not {written[number] for number in rest} & {written[number] for number in fold}
        folds.append(fold)
        return np.ones(len(fold))

    choice, probed = choose(Job(model, data, verbose=0), trial)
    assert choice.recipe == "lp-ft"
    assert len(folds) == 6
    assert probed.groups is not None
    assert len(set(probed.groups.tolist())) == 40


def test_copies_do_not_make_few_texts_many(model: Any, texts: TextDataset) -> None:
    choice, _ = choose(Job(model, texts.select(range(36)), verbose=0), scoring())
    assert choice.recipe == "probe"
    assert "9 different samples of a class are too few" in choice.reason


def test_identical_photos_are_copies_and_arrays_are_not_compared(tmp_path: Path) -> None:
    class Decoded(list[np.ndarray]):
        paths = tuple(tmp_path / name for name in ("a.png", "b.png", "c.png"))

    for path, content in zip(Decoded.paths, (b"1", b"2", b"1"), strict=True):
        path.write_bytes(content)
    photos = Dataset(Decoded([np.zeros(1), np.ones(1), np.zeros(1)]), [0, 1, 0])
    assert group_copies(photos) == [0, 1, 0]
    assert group_copies(np.zeros((3, 1))) is None
    assert group_copies(Dataset([np.zeros(1)] * 3, [0, 1, 0])) is None
