"""What ``neurenix predict`` and ``neurenix evaluate`` do."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neurenix.data.photo_files import PhotoFolderError, scan_photos
from neurenix.data.photos import PhotoError
from neurenix.io import atomic_write
from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.photos.evaluation import evaluation_lines
from neurenix_transfer.photos.explaining import explain_photos
from neurenix_transfer.photos.layout import photos_to_evaluate
from neurenix_transfer.photos.predictor import Predictor, load_photo_predictor
from neurenix_transfer.photos.rows import Rows
from neurenix_transfer.prediction import Prediction, check_confidence
from neurenix_transfer.runs.console import Console
from neurenix_transfer.runs.options import OptionError


def predict_photos(
    folder: Path,
    photos: Sequence[Path],
    *,
    top: int = 1,
    as_json: bool = False,
    csv_file: Path | None = None,
    min_confidence: float | None = None,
    explain: Path | None = None,
    device: str | None = None,
) -> list[Prediction]:
    """Classify photos, and print the answers to standard output.

    With ``min_confidence`` an answer less probable is "unsure": in the lines that word stands
    before the answers, in JSON ``class`` is null and ``unsure`` true, in the table ``class`` is
    empty and ``unsure`` 1. It is an answer like others, and no error.

    Args:
        folder: The folder of a run.
        photos: Photos, and folders of photos.
        top: How many classes to name for each photo.
        as_json: Print a list of objects with ``photo``, ``class``, ``probability`` and ``top``.
        csv_file: Write a table too.
        min_confidence: The probability below which the answer is "unsure".
        explain: A folder to write a picture of each photo to, with where the model looked.
        device: Where to compute.

    Raises:
        NoModelError: The folder holds no model.
        PhotoFolderError: A path does not exist, or there is no photo that can be read.
    """
    if top < 1:
        raise OptionError(f"--top must be at least 1, not {top}")
    if min_confidence is not None:
        check_confidence(min_confidence)
    console = Console(stream=sys.stderr)
    predictor = load_photo_predictor(folder, device)
    top = min(top, len(predictor.classes))
    paths = _find(photos, console)
    predictions = _predict(predictor, paths, console, min_confidence or 0.0)
    drawn = explain_photos(predictor, predictions, explain, console) if explain else {}
    rows = Rows(top, min_confidence is not None, drawn)
    if as_json:
        print(json.dumps([rows.as_json(each) for each in predictions], indent=2))  # noqa: T201
    else:
        width = max(len(str(each.path)) for each in predictions)
        for each in predictions:
            print(f"{each.path!s:<{width}}  {rows.line(each)}")  # noqa: T201
    if csv_file is not None:
        atomic_write(csv_file, rows.as_csv(predictions))
        console.line(f"Wrote {csv_file}")
    unsure = sum(each.is_unsure for each in predictions)
    if unsure:
        console.line(f"Unsure of {unsure} of {len(predictions)} photos")
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
    if as_json:
        print(json.dumps(evaluation.summary(), indent=2))  # noqa: T201
    else:
        print("\n".join(evaluation_lines(evaluation)))  # noqa: T201
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
    predictions = []
    with console.progress("Predicting", len(paths)) as step:
        for prediction in predictor.predict_readable(paths, broken, min_confidence):
            predictions.append(prediction)
            step()
    for error in broken:
        console.warn(f"skipped a broken photo: {error}")
    if not predictions:
        raise PhotoFolderError(f"none of the {len(paths)} photos can be read")
    return predictions
