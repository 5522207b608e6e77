"""Predictions of photos as lines, JSON and a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from neurenix_transfer.prediction import Prediction

UNSURE = "unsure"


@dataclass(frozen=True)
class Rows:
    """How predictions are written.

    Attributes:
        top: How many classes are named for each.
        with_unsure: Whether it is said if they are unsure.
        pictures: Where the picture of each photo is that shows where the model looked.
    """

    top: int
    with_unsure: bool = False
    pictures: Mapping[Path, Path] = field(default_factory=dict)

    noun: ClassVar[str] = "photo"

    def item(self, prediction: Any) -> str:
        """Return what a prediction is of."""
        return str(prediction.path)

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
        if self.pictures:
            row["explanation"] = self._picture(prediction)
        return row

    def as_csv(self, predictions: Sequence[Prediction]) -> str:
        """Lay out a table: a row a photo, and after the first answer a pair of columns for each."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        ranks = ["", *(f"_{rank}" for rank in range(2, self.top + 1))]
        heads = [
            self.noun,
            *(f"{name}{rank}" for rank in ranks for name in ("class", "probability")),
        ]
        heads += ["unsure"] if self.with_unsure else []
        writer.writerow(heads + (["explanation"] if self.pictures else []))
        for prediction in predictions:
            answers = [value for answer in prediction.top(self.top) for value in answer]
            if prediction.is_unsure:
                answers[0] = ""
            row = [self.item(prediction), *answers]
            row += [int(prediction.is_unsure)] if self.with_unsure else []
            writer.writerow(row + ([self._picture(prediction)] if self.pictures else []))
        return text.getvalue()

    def _picture(self, prediction: Prediction) -> str | None:
        picture = None if prediction.path is None else self.pictures.get(prediction.path)
        return None if picture is None else str(picture)
