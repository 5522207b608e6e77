"""Fitting a model's temperature on data that it was not trained on."""

from __future__ import annotations

from typing import Any

from neurenix.nn import Module
from neurenix_transfer.insight.outputs import collect_outputs
from neurenix_transfer.insight.temperature import Calibration, fit_temperature
from neurenix_transfer.prediction import ClassPredictor


def calibrate(
    model: Module | ClassPredictor, data: Any, labels: Any = None, *, batch_size: int = 32
) -> Calibration:
    """Make a classifier's probabilities honest, by one number.

    Its logits are divided by the temperature at which held-out samples are the likeliest: above 1
    where the model is too sure of itself. The most probable class never changes. A predictor uses
    it from now on; its method ``save`` writes it to the model's file. For another model,
    `Calibration.probabilities` applies it to logits.

    Args:
        model: A predictor (see `load`), or a model that gives a row of logits a sample.
        data: Samples that it was not trained on, as for `evaluate`.
        labels: Their classes, as for `evaluate`.
        batch_size: Samples a batch, where the data are not in batches.

    Raises:
        DataError: The data and the labels do not fit together.
        LabelError: A label is no class of the model's.

    Reference:
        Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", 2017.

    Examples:
        >>> import numpy as np
        >>> from neurenix import nn
        >>> from neurenix.transfer import calibrate
        >>> logits = 4 * np.eye(2, dtype="float32")[[0, 0, 0, 1]]
        >>> calibration = calibrate(nn.Identity(), logits, [0, 0, 0, 0])  # three of four are right
        >>> calibration.probabilities(logits).max(axis=1).round(4).tolist()
        [0.75, 0.75, 0.75, 0.75]
    """
    outputs = collect_outputs(model, data, labels, batch_size=batch_size)
    calibration = fit_temperature(outputs.logits, outputs.labels)
    if isinstance(model, ClassPredictor):
        model.temperature = calibration.temperature
    return calibration
