"""What comes after the training on texts: measuring, calibrating, and writing it up."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from neurenix.data.text import TextDataset
from neurenix.io import atomic_write
from neurenix_transfer.history import History
from neurenix_transfer.insight.gallery import gallery_items, worst
from neurenix_transfer.insight.model_card import model_card
from neurenix_transfer.insight.page import Page, save_page
from neurenix_transfer.photos.report import Report, save_report
from neurenix_transfer.runs.console import Console
from neurenix_transfer.runs.facts import run_facts
from neurenix_transfer.runs.measuring import Measured, measure_logits
from neurenix_transfer.runs.run_folder import CARD_FILE, PAGE_FILE, REPORT_FILE
from neurenix_transfer.texts.model_file import TextClassifier
from neurenix_transfer.texts.predictor import TextPredictor
from neurenix_transfer.texts.report import draw_texts

_LONGEST = 400  # characters of a text on the page


@dataclass(frozen=True)
class TextOutcome:
    """What a training came to.

    Attributes:
        measured: The validation texts beside the predictions, and the temperature.
        classifier: The classifier with that temperature, as it is saved.
        texts: The validation texts.
    """

    measured: Measured
    classifier: TextClassifier
    texts: Sequence[str]


def measure(
    classifier: TextClassifier, device: Any, val: TextDataset, console: Console
) -> TextOutcome:
    """Predict validation texts as `neurenix predict` will, by the same code, and calibrate.

    Args:
        classifier: The model, trained.
        device: Where it is.
        val: The texts and their classes.
        console: Where progress is shown.
    """
    predictor = TextPredictor(classifier, device)
    rows = []
    with console.progress("Evaluating", len(val)) as step:
        for row in predictor.logits(val.texts):
            rows.append(row)
            step()
    measured = measure_logits(classifier.classes, val.labels or [], rows)
    calibrated = replace(classifier, temperature=measured.calibration.temperature)
    return TextOutcome(measured, calibrated, val.texts)


def write_up(
    folder: Path, record: Mapping[str, Any], history: History, outcome: TextOutcome | None
) -> None:
    """Write the picture, the page and the card of a run into its folder."""
    evaluation = None if outcome is None else outcome.measured.evaluation
    atomic_write(folder / CARD_FILE, model_card(record, evaluation))
    if outcome is None:
        return
    title = run_title(record)
    report = Report(title, history, history.best_epoch, outcome.measured.evaluation, noun="texts")
    save_report(folder / REPORT_FILE, report, partial(draw_texts, texts=outcome.texts))
    save_page(folder / PAGE_FILE, make_page(title, record, history, outcome))


def make_page(
    title: str, record: Mapping[str, Any], history: History, outcome: TextOutcome
) -> Page:
    """Gather what the page shows."""
    evaluation = outcome.measured.evaluation
    gallery_title, numbers = worst(evaluation)
    texts = [textwrap.shorten(text, _LONGEST, placeholder=" …") for text in outcome.texts]
    counts = record["texts"]
    return Page(
        title=title,
        lead=f"{sum(counts['train'].values())} texts trained on, "
        f"{sum(counts['val'].values())} validated on; made on {record['written'][:10]}.",
        history=history,
        best_epoch=history.best_epoch,
        evaluation=evaluation,
        before=outcome.measured.before,
        calibration=outcome.measured.calibration,
        gallery_title=gallery_title,
        gallery=gallery_items(evaluation, numbers, texts=texts),
        trained=counts["train"],
        facts=run_facts(record, history),
        unit="text",
    )


def run_title(record: Mapping[str, Any]) -> str:
    """Say what was trained on what."""
    names = record["texts"]["classes"]
    listed = ", ".join(names) if len(names) <= 4 else f"{len(names)} classes"
    base = record["weights"]["name"].rpartition("/")[2]
    return f"{base} fine-tuned on {Path(record['options']['texts']).name} ({listed})"
