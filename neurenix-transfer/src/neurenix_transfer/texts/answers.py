"""What ``neurenix predict`` and ``neurenix evaluate`` do with texts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neurenix.data.text import TextFileError, read_texts
from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.insight.outputs import numbered
from neurenix_transfer.runs.answers import AnswerOptions, print_evaluation, print_predictions
from neurenix_transfer.runs.console import Console, gathered
from neurenix_transfer.texts.layout import texts_to_evaluate
from neurenix_transfer.texts.predictor import TextPrediction, load_text_predictor

_LONGEST = 60  # characters of a text in the table that is printed
_LISTS = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".txt")


def predict_texts(
    folder: Path,
    texts: Sequence[str],
    options: AnswerOptions | None = None,
    text_column: str | None = None,
) -> list[TextPrediction]:
    """Classify texts, and print the answers to standard output.

    Args:
        folder: The folder of a run.
        texts: Texts, and files of texts: csv, tsv, jsonl, or txt with a text a line.
        options: What to print.
        text_column: The column of a file that holds the texts.

    Raises:
        NoModelError: The folder holds no model.
        TextFileError: A file cannot be read.
    """
    options = options or AnswerOptions()
    console = Console(stream=sys.stderr)
    predictor = load_text_predictor(folder, options.device)
    items = [text for each in texts for text in _texts_of(each, text_column, console)]
    answers = gathered(predictor.probabilities(items), len(items), console, "Predicting")
    predictions = [
        TextPrediction(predictor.classes, row, min_confidence=options.least, text=text)
        for text, row in zip(items, answers, strict=True)
    ]
    rows = options.rows("text", lambda each: str(each.text), predictor.classes)
    print_predictions(predictions, rows, options, _line)
    return predictions


def evaluate_texts(
    folder: Path,
    texts: Path,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    as_json: bool = False,
    device: str | None = None,
) -> Evaluation:
    """Measure a model on texts whose classes are known, and print the figures.

    Raises:
        NoModelError: The folder holds no model.
        TextFileError: The file cannot be read, or has a class that the model does not know.
    """
    console = Console(stream=sys.stderr)
    predictor = load_text_predictor(folder, device)
    with console.warnings_shown():
        source = texts_to_evaluate(texts, predictor.classes, text_column, label_column)
    answers = gathered(predictor.probabilities(source.texts), len(source), console, "Predicting")
    labels = numbered(source.labels, predictor.classes)
    evaluation = Evaluation(predictor.classes, labels, np.stack(answers))
    print_evaluation(evaluation, "text", as_json)
    return evaluation


def _texts_of(item: str, text_column: str | None, console: Console) -> list[str]:
    """Return the texts of a file, or the item itself where it names none."""
    path = Path(item)
    if path.suffix.lower() not in _LISTS:
        return [item]
    if not path.is_file():
        if " " in item.strip():
            return [item]  # a message that happens to end so
        raise TextFileError(f"there is no file {item}; a message of its own needs no such ending")
    if path.suffix.lower() == ".txt":
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        found = [line for line in lines if line.strip()]
        if not found:
            raise TextFileError(f"{path} is empty; expected a text a line")
        return found
    with console.warnings_shown():
        return read_texts(path, text_column=text_column, labelled=None).texts


def _line(text: str) -> str:
    """Return a text as one short line."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
