"""The picture of a training run."""

from __future__ import annotations

import pytest

from neurenix.errors import MissingDependencyError
from neurenix.transfer import History

pytest.importorskip("matplotlib")


def test_loss_and_metrics_are_drawn_with_the_best_epoch_marked(run, tmp_path):
    _, history = run(epochs=5, metrics=["f1"], lr=0.3)
    figure = history.plot(save=tmp_path / "deep" / "history.svg")
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy", "f1"]
    for axes, key in zip(figure.axes, ("loss", "accuracy", "f1"), strict=True):
        lines = {line.get_label(): line for line in axes.get_lines()}
        best = history.best_epoch + 1
        assert set(lines) == {"training", "validation", f"best epoch: {best}"}
        assert list(lines["validation"].get_ydata()) == history[f"val_{key}"]
        assert list(lines["training"].get_xdata()) == [1, 2, 3, 4, 5]
        assert set(lines[f"best epoch: {best}"].get_xdata()) == {best}
    assert "<svg" in (tmp_path / "deep" / "history.svg").read_text()


def test_without_validation_only_training_is_drawn(run):
    _, history = run(val_data=None, val_labels=None)
    lines = [line.get_label() for line in history.plot().axes[0].get_lines()]
    assert "training" in lines
    assert "validation" not in lines


def test_an_empty_history_cannot_be_drawn():
    with pytest.raises(ValueError, match="no epoch was recorded"):
        History("accuracy").plot()


def test_matplotlib_is_named_where_it_is_missing(run, monkeypatch):
    import sys

    _, history = run(epochs=1)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match="pip install matplotlib"):
        history.plot()
