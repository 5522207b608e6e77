"""What ``neurenix predict`` and ``neurenix evaluate`` do with texts."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from neurenix.data.text import TextFileError, read_texts
from neurenix.io import atomic_write
from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.insight.outputs import numbered
from neurenix_transfer.photos.evaluation import evaluation_lines
from neurenix_transfer.photos.rows import Rows
from neurenix_transfer.prediction import check_confidence
from neurenix_transfer.runs.console import Console
from neurenix_transfer.runs.options import OptionError
from neurenix_transfer.texts.layout import texts_to_evaluate
from neurenix_transfer.texts.predictor import TextPrediction, TextPredictor, load_text_predictor

_LONGEST = 60  # characters of a text in the table that is printed
_LISTS = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".txt")


class TextRows(Rows):
    """How predictions of texts are written."""

    noun: ClassVar[str] = "text"

    def item(self, prediction: Any) -> str:
        """Return the text."""
        return str(prediction.text)


def predict_texts(
    folder: Path,
    texts: Sequence[str],
    *,
    text_column: str | None = None,
    top: int = 1,
    as_json: bool = False,
    csv_file: Path | None = None,
    min_confidence: float | None = None,
    device: str | None = None,
) -> list[TextPrediction]:
    """Classify texts, and print the answers to standard output.

    Args:
        folder: The folder of a run.
        texts: Texts, and files of texts: csv, tsv, jsonl, or txt with a text a line.
        text_column: The column of a file that holds the texts.
        top: How many classes to name for each text.
        as_json: Print a list of objects with ``text``, ``class``, ``probability`` and ``top``.
        csv_file: Write a table too.
        min_confidence: The probability below which the answer is "unsure".
        device: Where to compute.

    Raises:
        NoModelError: The folder holds no model.
        TextFileError: A file cannot be read.
    """
    if top < 1:
        raise OptionError(f"--top must be at least 1, not {top}")
    if min_confidence is not None:
        check_confidence(min_confidence)
    console = Console(stream=sys.stderr)
    predictor = load_text_predictor(folder, device)
    top = min(top, len(predictor.classes))
    items = [text for each in texts for text in _texts_of(each, text_column, console)]
    least = min_confidence or 0.0
    predictions = [
        TextPrediction(predictor.classes, row, min_confidence=least, text=text)
        for text, row in zip(items, _rows(predictor, items, console), strict=True)
    ]
    rows = TextRows(top, min_confidence is not None)
    if as_json:
        print(json.dumps([rows.as_json(each) for each in predictions], indent=2))  # noqa: T201
    else:
        width = min(_LONGEST, max(len(_line(each.text)) for each in predictions))
        for each in predictions:
            print(f"{_line(each.text):<{width}}  {rows.line(each)}")  # noqa: T201
    if csv_file is not None:
        atomic_write(csv_file, rows.as_csv(predictions))
        console.line(f"Wrote {csv_file}")
    unsure = sum(each.is_unsure for each in predictions)
    if unsure:
        console.line(f"Unsure of {unsure} of {len(predictions)} texts")
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
    evaluation = Evaluation(
        predictor.classes,
        numbered(source.labels, predictor.classes),
        np.stack(_rows(predictor, source.texts, console)),
    )
    if as_json:
        print(json.dumps(evaluation.summary(), indent=2))  # noqa: T201
    else:
        print("\n".join(evaluation_lines(evaluation, noun="texts")))  # noqa: T201
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


def _rows(predictor: TextPredictor, texts: Sequence[str], console: Console) -> list[Any]:
    rows = []
    with console.progress("Predicting", len(texts)) as step:
        for row in predictor.probabilities(texts):
            rows.append(row)
            step()
    return rows


def _line(text: str) -> str:
    """Return a text as one short line."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
