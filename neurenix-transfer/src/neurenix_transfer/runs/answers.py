"""What ``neurenix predict`` and ``neurenix evaluate`` print, whatever the samples are."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurenix.io import atomic_write
from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.prediction import Prediction, check_confidence
from neurenix_transfer.runs.console import Console
from neurenix_transfer.runs.evaluation import evaluation_lines
from neurenix_transfer.runs.options import OptionError
from neurenix_transfer.runs.rows import Rows


@dataclass(frozen=True)
class AnswerOptions:
    """How predictions are asked for, and how they are printed.

    With ``min_confidence`` an answer less probable is "unsure": in the lines that word stands
    before the answers, in JSON ``class`` is null and ``unsure`` true, in the table ``class`` is
    empty and ``unsure`` 1. It is an answer like others, and no error.

    Attributes:
        top: How many classes to name for each sample.
        as_json: Print a list of objects with the sample, ``class``, ``probability`` and ``top``.
        csv_file: Write a table too.
        min_confidence: The probability below which the answer is "unsure".
        device: Where to compute.
    """

    top: int = 1
    as_json: bool = False
    csv_file: Path | None = None
    min_confidence: float | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if self.top < 1:
            raise OptionError(f"--top must be at least 1, not {self.top}")
        if self.min_confidence is not None:
            check_confidence(self.min_confidence)

    @property
    def least(self) -> float:
        """The probability below which an answer is "unsure"; 0 where none is."""
        return self.min_confidence or 0.0

    def rows(
        self,
        noun: str,
        item: Callable[[Any], str],
        classes: Sequence[str],
        more: tuple[tuple[str, Callable[[Any], Any]], ...] = (),
    ) -> Rows:
        """Return how predictions are written; see `Rows`."""
        named = min(self.top, len(classes))
        return Rows(noun, item, named, self.min_confidence is not None, more)


def print_predictions(
    predictions: Sequence[Prediction],
    rows: Rows,
    options: AnswerOptions,
    shown: Callable[[str], str] = str,
) -> None:
    """Print predictions to standard output, and write the table.

    Args:
        predictions: What was answered.
        rows: How that is written.
        options: What was asked for.
        shown: Makes one line, not too long, of what a prediction is of.
    """
    console = Console(stream=sys.stderr)
    if options.as_json:
        print(json.dumps([rows.as_json(each) for each in predictions], indent=2))  # noqa: T201
    else:
        names = [shown(rows.item(each)) for each in predictions]
        width = max(map(len, names), default=0)
        for name, each in zip(names, predictions, strict=True):
            print(f"{name:<{width}}  {rows.line(each)}")  # noqa: T201
    if options.csv_file is not None:
        atomic_write(options.csv_file, rows.as_csv(predictions))
        console.line(f"Wrote {options.csv_file}")
    unsure = sum(each.is_unsure for each in predictions)
    if unsure:
        console.line(f"Unsure of {unsure} of {len(predictions)} {rows.noun}s")


def print_evaluation(evaluation: Evaluation, noun: str, as_json: bool) -> None:
    """Print the figures to standard output.

    Args:
        evaluation: The figures.
        noun: What a sample is, such as ``"photo"``.
        as_json: Whether other programs are to read them.
    """
    if as_json:
        print(json.dumps(evaluation.summary(), indent=2))  # noqa: T201
    else:
        print("\n".join(evaluation_lines(evaluation, noun=f"{noun}s")))  # noqa: T201
