"""The logits of a model beside the labels, for data in any form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurenix import Tensor, nn
from neurenix.autograd import no_grad
from neurenix.nn import Module
from neurenix.nn.mode import evaluating
from neurenix_transfer.batches import Batches
from neurenix_transfer.checking import DataError
from neurenix_transfer.padding import padding_for
from neurenix_transfer.prediction import ClassPredictor
from neurenix_transfer.probing import probe
from neurenix_transfer.sources import Array, placed
from neurenix_transfer.tasks import LabelError

_TINY = 1e-300  # stands for a probability of 0, whose logarithm has no number


@dataclass(frozen=True)
class Outputs:
    """What a model gives for labelled samples.

    Attributes:
        logits: Of each class for each sample.
        labels: The class of each sample.
        classes: The names of the classes.
        paths: The files of the samples; empty where they have none.

    Shape:
        logits (N, C), labels (N,).
    """

    logits: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    paths: tuple[Path, ...] = ()


def collect_outputs(
    model: Module | ClassPredictor,
    data: Any,
    labels: Any = None,
    *,
    classes: Sequence[str] | None = None,
    batch_size: int = 32,
) -> Outputs:
    """Run a model over labelled samples.

    A model that ends in a Softmax or Sigmoid gives probabilities, which are taken back to logits;
    a single output becomes the logits of two classes.

    Args:
        model: A predictor, or a model that gives a row of logits a sample.
        data: For a predictor what its ``labelled`` takes; for a model samples in any form that
            `fine_tune` takes.
        labels: The class of each sample, by number or by name; None where the data say it.
        classes: The names of the classes; a predictor has its own.
        batch_size: Samples a batch, where the data are not in batches.

    Raises:
        DataError: The data and the labels do not fit together.
        LabelError: A label is no class of the model's.
        TypeError: The model is neither.
    """
    if isinstance(model, ClassPredictor):
        if classes is not None:
            raise ValueError("classes were given, but a predictor has its own; leave them out")
        return _outputs_of(model, data, labels)
    if not isinstance(model, Module):
        raise TypeError(f"model is a Module or a Predictor, not {model!r}")
    if labels is not None and classes is not None:
        labels = numbered(labels, tuple(classes))
    logits, numbers = _run(model, Batches(data, labels, batch_size, padding_for(model)))
    names = tuple(map(str, range(logits.shape[1]) if classes is None else classes))
    if len(names) != logits.shape[1]:
        raise DataError(
            f"there are {len(names)} names of classes, and the model gives {logits.shape[1]}"
        )
    return Outputs(logits, _checked(numbers, len(names)), names)


def numbered(labels: Any, classes: tuple[str, ...]) -> Any:
    """Return labels with names of classes replaced by their numbers.

    Raises:
        LabelError: A name is of no class.
    """
    if isinstance(labels, Tensor | np.ndarray) and not _holds_text(labels):
        return labels
    found = []
    for position, label in enumerate(labels):
        if isinstance(label, str):
            if label not in classes:
                raise LabelError(
                    f"labels[{position}] is {label!r}; the classes are {', '.join(classes)}"
                )
            found.append(classes.index(label))
        else:
            found.append(int(label))
    return np.array(found, np.int64)


def _run(model: Module, batches: Batches) -> tuple[npt.NDArray[np.float64], Array]:
    rows: list[npt.NDArray[np.float64]] = []
    labels: list[Array] = []
    terminal: nn.Module | None = None
    with evaluating(model), no_grad():
        for number, (inputs, given) in enumerate(_labelled(batches)):
            at_model = placed(model, inputs)
            if number == 0:
                terminal = probe(model, at_model).terminal
            rows.append(_as_logits(model(at_model), terminal))
            labels.append(given.numpy())
    return np.concatenate(rows), np.concatenate(labels)


def _labelled(batches: Iterable[Any]) -> Iterable[tuple[Any, Tensor]]:
    for inputs, labels in batches:
        if labels is None:
            raise DataError("the data came without labels; expected a class for each sample")
        yield inputs, labels


def _as_logits(out: Any, terminal: nn.Module | None) -> npt.NDArray[np.float64]:
    if not isinstance(out, Tensor) or out.ndim not in (1, 2):
        shape = out.shape if isinstance(out, Tensor) else type(out).__name__
        raise DataError(f"expected a model that gives a row of logits a sample, got {shape}")
    values = out.numpy().astype(np.float64).reshape(out.shape[0], -1)
    if isinstance(terminal, nn.Sigmoid):
        values = np.log(np.maximum(values, _TINY)) - np.log(np.maximum(1.0 - values, _TINY))
    elif isinstance(terminal, nn.Softmax):
        values = np.log(np.maximum(values, _TINY))
    if values.shape[1] == 1:
        values = np.concatenate([np.zeros_like(values), values], axis=1)
    return values


def _outputs_of(predictor: ClassPredictor, data: Any, labels: Any) -> Outputs:
    samples = predictor.labelled(data, labels)
    numbers = numbered(samples.labels, predictor.classes)
    checked = _checked(np.asarray(numbers), len(predictor.classes))
    rows = np.stack(list(predictor.logits(samples.inputs)))
    return Outputs(rows, checked, predictor.classes, samples.paths)


def _checked(labels: Array, count: int) -> npt.NDArray[np.int64]:
    whole = labels.dtype.kind in "iub" or bool((labels == np.floor(labels)).all())
    if labels.ndim != 1 or not whole:
        raise LabelError(
            f"expected the number of a class for each sample, got {labels.dtype} of the shape "
            f"{labels.shape}"
        )
    numbers = labels.astype(np.int64)
    wrong = np.flatnonzero((numbers < 0) | (numbers >= count))
    if len(wrong):
        raise LabelError(
            f"labels[{wrong[0]}] is {numbers[wrong[0]]}; the model has {count} classes, 0 to "
            f"{count - 1}"
        )
    return numbers


def _holds_text(labels: Any) -> bool:
    return isinstance(labels, np.ndarray) and labels.dtype.kind in "OUS"
