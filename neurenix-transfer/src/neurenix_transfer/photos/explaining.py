"""Pictures of where a model looked, a file a photo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neurenix_transfer.insight.grad_cam import grad_cam
from neurenix_transfer.photos.predictor import Predictor
from neurenix_transfer.prediction import Prediction
from neurenix_transfer.runs.console import Console


def explain_photos(
    predictor: Predictor, predictions: Sequence[Prediction], folder: Path, console: Console
) -> dict[Path, Path]:
    """Write, for each photo, what the model saw of it under the heat map of its answer.

    A file is called as its photo, with the answer behind it; photos of the same name are numbered.

    Args:
        predictor: The model.
        predictions: What it answered.
        folder: Where to write; it is made.
        console: Where progress is shown.

    Returns:
        The picture of each photo.

    Raises:
        GradCamError: The model has no feature maps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[Path, Path] = {}
    used: set[str] = set()
    with console.progress("Explaining", len(predictions)) as step:
        for prediction in predictions:
            if prediction.path is not None:
                name = _free_name(f"{prediction.path.stem}-{_safe(prediction.label)}", used)
                drawn[prediction.path] = folder / f"{name}.png"
                heat_map = grad_cam(predictor, prediction.path, prediction.index)
                heat_map.save(drawn[prediction.path])
            step()
    console.line(f"Wrote {len(drawn)} pictures to {folder}")
    return drawn


def _free_name(name: str, used: set[str]) -> str:
    free, number = name, 2
    while free.casefold() in used:  # some file systems do not tell upper from lower case
        free, number = f"{name}-{number}", number + 1
    used.add(free.casefold())
    return free


def _safe(label: str) -> str:
    return "".join(char if char.isalnum() or char in "-_" else "_" for char in label)
