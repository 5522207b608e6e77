"""What ``neurenix predict`` and ``neurenix evaluate`` do."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neurenix.data.photo_files import PhotoFolderError, scan_photos
from neurenix.data.photos import PhotoError
from neurenix.io import atomic_write
from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.photos.console import Console
from neurenix_transfer.photos.evaluation import evaluation_lines
from neurenix_transfer.photos.layout import photos_to_evaluate
from neurenix_transfer.photos.options import OptionError
from neurenix_transfer.predictor import Prediction, Predictor, load


def predict_photos(
    folder: Path,
    photos: Sequence[Path],
    *,
    top: int = 1,
    as_json: bool = False,
    csv_file: Path | None = None,
    device: str | None = None,
) -> list[Prediction]:
    """Classify photos, and print the answers to standard output.

    Args:
        folder: The folder of a run.
        photos: Photos, and folders of photos.
        top: How many classes to name for each photo.
        as_json: Print a list of objects with ``photo``, ``class``, ``probability`` and ``top``.
        csv_file: Write a table too.
        device: Where to compute.

    Raises:
        NoModelError: The folder holds no model.
        PhotoFolderError: A path does not exist, or there is no photo that can be read.
    """
    if top < 1:
        raise OptionError(f"--top must be at least 1, not {top}")
    console = Console(stream=sys.stderr)
    predictor = load(folder, device)
    top = min(top, len(predictor.classes))
    paths = _find(photos, console)
    predictions = _predict(predictor, paths, console)
    if as_json:
        print(json.dumps([_as_json(each, top) for each in predictions], indent=2))  # noqa: T201
    else:
        width = max(len(str(each.path)) for each in predictions)
        for each in predictions:
            answers = "  ".join(f"{name} {share:.4f}" for name, share in each.top(top))
            print(f"{each.path!s:<{width}}  {answers}")  # noqa: T201
    if csv_file is not None:
        atomic_write(csv_file, _as_csv(predictions, top))
        console.line(f"Wrote {csv_file}")
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
    predictor = load(folder, device)
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


def _predict(predictor: Predictor, paths: Sequence[Path], console: Console) -> list[Prediction]:
    broken: list[PhotoError] = []
    predictions = []
    with console.progress("Predicting", len(paths)) as step:
        for prediction in predictor.predict_readable(paths, broken):
            predictions.append(prediction)
            step()
    for error in broken:
        console.warn(f"skipped a broken photo: {error}")
    if not predictions:
        raise PhotoFolderError(f"none of the {len(paths)} photos can be read")
    return predictions


def _as_json(prediction: Prediction, top: int) -> dict[str, Any]:
    return {
        "photo": str(prediction.path),
        "class": prediction.label,
        "probability": prediction.probability,
        "top": [{"class": name, "probability": share} for name, share in prediction.top(top)],
    }


def _as_csv(predictions: Sequence[Prediction], top: int) -> str:
    """Lay out a table: a row a photo, and after the first answer a pair of columns for each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    ranks = ["", *(f"_{rank}" for rank in range(2, top + 1))]
    writer.writerow(
        ["photo", *(f"{name}{rank}" for rank in ranks for name in ("class", "probability"))]
    )
    for prediction in predictions:
        answers = prediction.top(top)
        writer.writerow([prediction.path, *(value for answer in answers for value in answer)])
    return text.getvalue()
