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
from neurenix_transfer.insight.temperature import Calibration, fit_temperature, softmax
from neurenix_transfer.photos.console import Console, duration
from neurenix_transfer.photos.model_file import PhotoClassifier
from neurenix_transfer.photos.report import Report, save_report
from neurenix_transfer.photos.run_folder import CARD_FILE, PAGE_FILE, REPORT_FILE
from neurenix_transfer.predictor import Predictor

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
    logits, numbers = np.stack(rows), np.array(labels, np.int64)
    calibration = fit_temperature(logits, numbers)
    predictor.temperature = calibration.temperature
    before, after = (
        Evaluation(
            classifier.classes,
            numbers,
            np.stack([softmax(row, temperature) for row in logits]),
            tuple(photos.paths),
        )
        for temperature in (1.0, calibration.temperature)
    )
    calibrated = replace(classifier, temperature=calibration.temperature)
    return Outcome(after, before, calibration, predictor, calibrated, photos)


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
        facts={
            "Options": _options(record["options"]),
            "Time": _times(record, history),
            "Model": _model(record),
            "Versions": dict(record["versions"]),
        },
    )


def run_title(record: Mapping[str, Any]) -> str:
    """Say what was trained on what."""
    names = record["photos"]["classes"]
    listed = ", ".join(names) if len(names) <= 4 else f"{len(names)} classes"
    photos = Path(record["options"]["photos"]).name
    return f"{record['options']['base']} fine-tuned on {photos} ({listed})"


def _options(options: Mapping[str, Any]) -> dict[str, str]:
    return {
        name.replace("_", " "): _shown(value)
        for name, value in options.items()
        if value not in (None, [], "")
    }


def _times(record: Mapping[str, Any], history: History) -> dict[str, str]:
    shown = {
        name: duration(seconds) for name, seconds in record.get("timings", {}).items() if seconds
    }
    epochs = list(history.get("epoch_time") or [])
    if epochs:
        shown["first epoch"] = f"{epochs[0]:.3g} s"
    if len(epochs) > 1:
        later = float(np.median(epochs[1:]))
        shown["later epochs"] = f"{later:.3g} s each, {epochs[0] / later:.0f} times as fast"
    line = history.saving.line() if history.saving is not None else None
    if line:
        shown["feature cache"] = line.partition(": ")[2]
    return shown


def _model(record: Mapping[str, Any]) -> dict[str, str]:
    model, weights = record["model"], record["weights"]
    return {
        "parameters": f"{model['total_parameters']:,}, of which {model['trained_parameters']:,} "
        "were trained",
        "device": str(record["device"]),
        "weights of the base": f"{weights['path']} (sha256 {weights['sha256'][:12]})",
        "their licence": weights.get("licence") or "not named in their file",
        "model.safetensors": f"sha256 {model['sha256']}",
    }


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
