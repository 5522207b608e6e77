"""Measuring a model on labelled data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neurenix.nn import Module
from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.insight.outputs import collect_outputs
from neurenix_transfer.insight.temperature import softmax
from neurenix_transfer.prediction import ClassPredictor


def evaluate(
    model: Module | ClassPredictor,
    data: Any,
    labels: Any = None,
    *,
    classes: Sequence[str] | None = None,
    batch_size: int = 32,
) -> Evaluation:
    """Measure a classifier on samples whose classes are known.

    A model runs in eval mode and without the tape; its modes are put back.

    Args:
        model: A predictor (see `load`), or a model that gives a row of logits a sample.
        data: For a predictor of photos these, or a folder with one folder a class; for one of
            texts these, a file of texts and labels, or a `TextDataset`; for a model samples in
            any form that `fine_tune` takes.
        labels: The class of each sample, by number or by name; None where the data say it.
        classes: The names of the classes, for a model; by default they are numbered.
        batch_size: Samples a batch, where the data are not in batches.

    Raises:
        DataError: The data and the labels do not fit together.
        LabelError: A label is no class of the model's.
        PhotoError: A photo cannot be read.
        TextFileError: A file of texts cannot be read, or has a class that is not known.

    Examples:
        >>> import numpy as np
        >>> from neurenix import nn
        >>> from neurenix.transfer import evaluate
        >>> found = evaluate(nn.Identity(), np.eye(3, dtype="float32"), [0, 1, 1])
        >>> found.accuracy, found.confusion.tolist(), found.most_wrong(5)
        (0.6666666666666666, [[1, 0, 0], [0, 1, 1], [0, 0, 0]], [2])
    """
    outputs = collect_outputs(model, data, labels, classes=classes, batch_size=batch_size)
    temperature = model.temperature if isinstance(model, ClassPredictor) else 1.0
    probabilities = softmax(outputs.logits, temperature)
    return Evaluation(outputs.classes, outputs.labels, probabilities, outputs.paths)
