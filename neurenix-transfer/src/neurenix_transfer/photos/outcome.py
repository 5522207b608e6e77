"""What comes after the training: measuring, calibrating, and writing it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurenix.io import atomic_write
from neurenix_transfer.history import History
from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.insight.gallery import gallery_items, worst
from neurenix_transfer.insight.grad_cam import GradCamError, explain
from neurenix_transfer.insight.model_card import model_card
from neurenix_transfer.insight.page import Page, save_page
from neurenix_transfer.insight.temperature import Calibration
from neurenix_transfer.photos.model_file import PhotoClassifier
from neurenix_transfer.photos.predictor import Predictor
from neurenix_transfer.photos.report import Report, save_report
from neurenix_transfer.runs.console import Console
from neurenix_transfer.runs.facts import run_facts
from neurenix_transfer.runs.measuring import measure_logits
from neurenix_transfer.runs.run_folder import CARD_FILE, PAGE_FILE, REPORT_FILE

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Attributes:
        evaluation: The validation photos beside the calibrated predictions.
        before: The same before calibration.
        calibration: The temperature.
        predictor: The classifier with that temperature.
        classifier: The same, as it is saved.
        photos: The pixels of the validation photos.
    """

    evaluation: Evaluation
    before: Evaluation
    calibration: Calibration
    predictor: Predictor
    classifier: PhotoClassifier
    photos: Sequence[Pixels]


def measure(
    classifier: PhotoClassifier,
    device: Any,
    photos: Any,
    labels: Sequence[int],
    console: Console,
) -> Outcome:
    """Predict validation photos as `neurenix predict` will, by the same code, and calibrate.

    Args:
        classifier: The model, trained.
        device: Where it is.
        photos: The decoded photos.
        labels: The class of each.
        console: Where progress is shown.
    """
    predictor = Predictor(classifier, device)
    rows = []
    with console.progress("Evaluating", len(photos)) as step:
        for row in predictor.logits(photos):
            rows.append(row)
            step()
    measured = measure_logits(classifier.classes, labels, rows, tuple(photos.paths))
    predictor.temperature = measured.calibration.temperature
    calibrated = replace(classifier, temperature=predictor.temperature)
    return Outcome(
        measured.evaluation, measured.before, measured.calibration, predictor, calibrated, photos
    )


def write_up(
    folder: Path, record: Mapping[str, Any], history: History, outcome: Outcome | None
) -> None:
    """Write the picture, the page and the card of a run into its folder."""
    evaluation = None if outcome is None else outcome.evaluation
    atomic_write(folder / CARD_FILE, model_card(record, evaluation))
    if outcome is None:
        return
    title = run_title(record)
    best = history.best_epoch
    report = Report(title, history, best, outcome.evaluation, outcome.photos)
    save_report(folder / REPORT_FILE, report)
    save_page(folder / PAGE_FILE, make_page(title, record, history, outcome))


def make_page(title: str, record: Mapping[str, Any], history: History, outcome: Outcome) -> Page:
    """Gather what the page shows."""
    gallery_title, numbers = worst(outcome.evaluation)

    def pictures(number: int) -> tuple[Pixels, Pixels | None]:
        pixels = outcome.photos[number]
        predicted = int(outcome.evaluation.predicted[number])
        batch = outcome.predictor.to_tensor(pixels).unsqueeze(0)
        try:
            heat_map = explain(outcome.predictor.model, batch, pixels, predicted)
        except GradCamError:
            return pixels, None  # a base without feature maps, such as a transformer
        return pixels, heat_map.overlay()

    counts = record["photos"]
    return Page(
        title=title,
        lead=f"{sum(counts['train'].values())} photos trained on, "
        f"{sum(counts['val'].values())} validated on; made on {record['written'][:10]}.",
        history=history,
        best_epoch=history.best_epoch,
        evaluation=outcome.evaluation,
        before=outcome.before,
        calibration=outcome.calibration,
        gallery_title=gallery_title,
        gallery=gallery_items(outcome.evaluation, numbers, pictures),
        trained=counts["train"],
        facts=run_facts(record, history),
    )


def run_title(record: Mapping[str, Any]) -> str:
    """Say what was trained on what."""
    names = record["photos"]["classes"]
    listed = ", ".join(names) if len(names) <= 4 else f"{len(names)} classes"
    photos = Path(record["options"]["photos"]).name
    return f"{record['options']['base']} fine-tuned on {photos} ({listed})"
