"""What validation logits come to: a temperature, and the predictions with it and without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.insight.temperature import Calibration, fit_temperature, softmax
from neurenix_transfer.prediction import ClassPredictor
from neurenix_transfer.runs.console import Console, gathered


@dataclass(frozen=True)
class Measured:
    """What a model came to on the samples that it was validated on.

    Attributes:
        evaluation: They beside the calibrated predictions.
        before: The same before calibration.
        calibration: The temperature.
    """

    evaluation: Evaluation
    before: Evaluation
    calibration: Calibration


def measure(
    predictor: ClassPredictor,
    inputs: Any,
    labels: Sequence[int],
    paths: tuple[Path, ...],
    console: Console,
) -> Measured:
    """Predict samples as `neurenix predict` will, by the same code, and calibrate on them.

    The predictor takes the temperature over.

    Args:
        predictor: The model, trained.
        inputs: What its ``logits`` takes, one a sample.
        labels: The class of each sample.
        paths: The files of the samples, if they have any.
        console: Where progress is shown.
    """
    rows = gathered(predictor.logits(inputs), len(labels), console, "Evaluating")
    measured = measure_logits(predictor.classes, labels, rows, paths)
    predictor.temperature = measured.calibration.temperature
    return measured


def measure_logits(
    classes: tuple[str, ...],
    labels: Sequence[int],
    rows: Sequence[npt.NDArray[np.float64]],
    paths: tuple[Path, ...] = (),
) -> Measured:
    """Fit the temperature, and set predictions beside the truth.

    Each row goes through softmax alone, as in `predict`, so that both give the same bits.

    Args:
        classes: The names of the classes.
        labels: The class of each sample.
        rows: The logits of each sample.
        paths: The files of the samples.

    Shape:
        rows: (C,) each.
    """
    numbers = np.array(labels, np.int64)
    calibration = fit_temperature(np.stack(rows), numbers)
    before, after = (
        Evaluation(classes, numbers, np.stack([softmax(row, each) for row in rows]), paths)
        for each in (1.0, calibration.temperature)
    )
    return Measured(after, before, calibration)
