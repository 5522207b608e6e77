"""Predictions as lines, JSON and a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from neurenix_transfer.prediction import Prediction

UNSURE = "unsure"


@dataclass(frozen=True)
class Rows:
    """How predictions are written.

    Attributes:
        noun: What a sample is, such as ``"photo"``: the name of its field.
        item: Returns what a prediction is of.
        top: How many classes are named for each.
        with_unsure: Whether it is said if they are unsure.
        more: Further fields: what each has of a prediction.
    """

    noun: str
    item: Callable[[Any], str]
    top: int
    with_unsure: bool = False
    more: tuple[tuple[str, Callable[[Any], Any]], ...] = ()

    def line(self, prediction: Prediction) -> str:
        """Return the answers as text."""
        answers = "  ".join(f"{name} {share:.4f}" for name, share in prediction.top(self.top))
        return f"{UNSURE}: {answers}" if prediction.is_unsure else answers

    def as_json(self, prediction: Prediction) -> dict[str, Any]:
        """Return an object for JSON."""
        top = [{"class": name, "probability": p} for name, p in prediction.top(self.top)]
        row: dict[str, Any] = {
            self.noun: self.item(prediction),
            "class": None if prediction.is_unsure else prediction.label,
            "probability": prediction.probability,
        }
        if self.with_unsure:
            row["unsure"] = prediction.is_unsure
        row["top"] = top
        return row | {name: of(prediction) for name, of in self.more}

    def as_csv(self, predictions: Sequence[Prediction]) -> str:
        """Lay out a table: a row a sample, and a pair of columns for each answer."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        ranks = ["", *(f"_{rank}" for rank in range(2, self.top + 1))]
        pairs = (f"{name}{rank}" for rank in ranks for name in ("class", "probability"))
        unsure = ["unsure"] if self.with_unsure else []
        writer.writerow([self.noun, *pairs, *unsure, *(name for name, _ in self.more)])
        for prediction in predictions:
            answers = [value for answer in prediction.top(self.top) for value in answer]
            if prediction.is_unsure:
                answers[0] = ""
            row = [self.item(prediction), *answers]
            row += [int(prediction.is_unsure)] if self.with_unsure else []
            writer.writerow([*row, *(of(prediction) for _, of in self.more)])
        return text.getvalue()
