"""What ``neurenix predict`` and ``neurenix evaluate`` do with photos."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neurenix.data.photo_files import PhotoFolderError, scan_photos
from neurenix.data.photos import PhotoError
from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.photos.explaining import explain_photos
from neurenix_transfer.photos.layout import photos_to_evaluate
from neurenix_transfer.photos.predictor import Predictor, load_photo_predictor
from neurenix_transfer.prediction import Prediction
from neurenix_transfer.runs.answers import AnswerOptions, print_evaluation, print_predictions
from neurenix_transfer.runs.console import Console, gathered


def predict_photos(
    folder: Path,
    photos: Sequence[Path],
    options: AnswerOptions | None = None,
    explain: Path | None = None,
) -> list[Prediction]:
    """Classify photos, and print the answers to standard output.

    Args:
        folder: The folder of a run.
        photos: Photos, and folders of photos.
        options: What to print.
        explain: A folder to write a picture of each photo to, with where the model looked.

    Raises:
        NoModelError: The folder holds no model.
        PhotoFolderError: A path does not exist, or there is no photo that can be read.
    """
    options = options or AnswerOptions()
    console = Console(stream=sys.stderr)
    predictor = load_photo_predictor(folder, options.device)
    predictions = _predict(predictor, _find(photos, console), console, options.least)
    drawn = explain_photos(predictor, predictions, explain, console) if explain else {}
    pictures = {str(photo): str(picture) for photo, picture in drawn.items()}
    more = (("explanation", lambda each: pictures.get(str(each.path))),) if drawn else ()
    rows = options.rows("photo", lambda each: str(each.path), predictor.classes, more)
    print_predictions(predictions, rows, options)
    return predictions


def evaluate_photos(
    folder: Path, photos: Path, *, as_json: bool = False, device: str | None = None
) -> Evaluation:
    """Measure a model on photos whose folders name their classes, and print the figures.

    Raises:
        NoModelError: The folder holds no model.
        PhotoFolderError: The photos are not as expected.
    """
    console = Console(stream=sys.stderr)
    predictor = load_photo_predictor(folder, device)
    found = photos_to_evaluate(photos, predictor.classes)
    if found.root != photos:
        console.line(f"Evaluating on {found.root}")
    predictions = _predict(predictor, found.paths, console)
    labels = dict(zip(found.paths, found.labels, strict=True))
    paths = tuple(each.path for each in predictions if each.path is not None)
    evaluation = Evaluation(
        predictor.classes,
        np.array([labels[path] for path in paths], np.int64),
        np.stack([each.probabilities for each in predictions]),
        paths,
    )
    print_evaluation(evaluation, "photo", as_json)
    return evaluation


def _find(photos: Sequence[Path], console: Console) -> list[Path]:
    found: dict[Path, None] = {}  # a photo that is named twice is predicted once
    skipped: Counter[str] = Counter()
    for place in photos:
        scan = scan_photos(place)
        found.update(dict.fromkeys(scan.photos))
        skipped.update(scan.skipped)
    counts = ", ".join(f"{count} {extension}" for extension, count in sorted(skipped.items()))
    if not found:
        places = ", ".join(str(place) for place in photos)
        raise PhotoFolderError(
            f"no photo in {places}" + (f" (only {counts}, not read as photos)" if skipped else "")
        )
    if skipped:
        console.line(f"Skipped, being no photos: {counts}")
    return list(found)


def _predict(
    predictor: Predictor, paths: Sequence[Path], console: Console, min_confidence: float = 0.0
) -> list[Prediction]:
    broken: list[PhotoError] = []
    answers = predictor.predict_readable(paths, broken, min_confidence)
    predictions = gathered(answers, len(paths), console, "Predicting")
    for error in broken:
        console.warn(f"skipped a broken photo: {error}")
    if not predictions:
        raise PhotoFolderError(f"none of the {len(paths)} photos can be read")
    return predictions
