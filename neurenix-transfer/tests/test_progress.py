"""What is printed."""

from __future__ import annotations

import io
import re

import pytest

from neurenix_transfer.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def test_lines_have_the_documented_form(run, capsys):
    run(epochs=5, verbose=1)
    number = r"\d+\.\d{4}"
    form = rf"Epoch \d/5 - loss: {number} - val_loss: {number} - val_accuracy: {number}"
    epochs = [line for line in lines(capsys) if line.startswith("Epoch")]
    assert len(epochs) == 5
    assert all(re.fullmatch(form, line) for line in epochs)
    assert epochs[0].startswith("Epoch 1/5 - ")


def test_counts_loss_and_what_is_cached_are_printed_once(run, capsys):
    run(epochs=3, verbose=1)
    out = lines(capsys)
    assert out[:3] == [
        "Training 18 of 58 parameters (31.03 %) on cpu",
        "Loss: cross-entropy, chosen by the labels",
        "Frozen part: all up to base_model.1; the cut gives a tensor of (8,), 32 bytes a sample",
    ]
    assert out[3].startswith("Feature cache: 1.4 KiB for 46 samples in memory, up to ")
    assert len(out) == 7


def test_verbose_0_prints_nothing(run, capsys):
    run(verbose=0)
    assert lines(capsys) == []


def test_verbose_2_prints_all_that_is_measured(run, capsys):
    run(epochs=1, verbose=2)
    last = lines(capsys)[-1]
    assert re.search(r"loss: .* - accuracy: .* - val_loss: .* - lr: 0.02 - time: ", last)


def test_without_validation_the_training_metric_is_shown(run, capsys):
    run(epochs=1, verbose=1, val_data=None, val_labels=None)
    assert re.fullmatch(r"Epoch 1/1 - loss: \d\.\d+ - accuracy: \d\.\d+", lines(capsys)[-1])


def test_an_early_end_and_restored_weights_are_said(run, capsys):
    run(epochs=9, lr=9.0, verbose=1, early_stopping=True, patience=1)
    assert re.fullmatch(
        r"Ended after \d of 9 epochs\. The weights of epoch \d, the best, are kept",
        lines(capsys)[-1],
    )


@pytest.mark.parametrize(
    ("stream", "verbose", "drawn"),
    [
        (Terminal(), 1, True),
        (Terminal(), 2, False),
        (Terminal(), 0, False),
        (io.StringIO(), 1, False),
    ],
)
def test_a_bar_on_a_terminal_only(monkeypatch, stream, verbose, drawn):
    monkeypatch.setattr("neurenix_transfer.progress._BAR_INTERVAL", 0.0)
    progress = Progress(verbose, epochs=2, stream=stream)
    progress.epoch_begin()
    progress.batch(0, 1, 4)
    assert ("Epoch 1/2 [" in stream.getvalue()) is drawn
    progress.batch(0, 2, None)
    assert ("2 batches" in stream.getvalue()) is drawn
