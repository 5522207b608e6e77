"""What kind of task labels describe, and how well outputs answer them."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import numpy as np

import neurenix
from neurenix import Tensor, nn
from neurenix.errors import NeurenixError
from neurenix_transfer.sources import Array

_SUM_TOLERANCE = 1e-3  # rows of float16 probabilities sum to 1 within this


class LabelError(NeurenixError, ValueError):
    """Labels that do not fit the model's output, or each other."""


class Task(Enum):
    """What the labels of a data set are."""

    CLASSES = "classes"
    BINARY = "binary"
    MIXTURE = "mixture"
    MULTILABEL = "multilabel"
    VALUES = "values"

    @property
    def metric(self) -> str:
        """The metric of the task: ``"accuracy"`` or ``"mae"``."""
        return "mae" if self is Task.VALUES else "accuracy"

    @property
    def float_labels(self) -> bool:
        """Whether labels are computed with as floats."""
        return self is not Task.CLASSES


def find_task(labels: Array, output_shape: tuple[int, ...], name: str) -> Task:
    """Find out what labels are, given the shape of the model's output for one sample.

    Args:
        labels: All labels, ``(N,)`` or ``(N, ...)``.
        output_shape: The shape of one sample's output, without the batch axis.
        name: What the labels are called in errors, such as ``"train_labels"``.

    Raises:
        LabelError: No task fits; the message names a sample and says what would.
    """
    whole = labels.dtype.kind in "iub"
    if labels.ndim == 1:
        task = _task_of_scalars(labels, whole, output_shape, name)
    else:
        task = _task_of_rows(labels, whole, output_shape, name)
    check_labels(task, labels, output_shape, name)
    return task


def check_labels(task: Task, labels: Array, output_shape: tuple[int, ...], name: str) -> None:
    """Check that labels are of a task: range, zeros and ones, sums, finiteness.

    Raises:
        LabelError: A label is not; the message names the sample.
    """
    expected = output_shape[1:] if task is Task.CLASSES else output_shape
    if expected == (1,) and labels.ndim == 1:
        expected = ()
    if labels.shape[1:] != expected:
        raise LabelError(
            f"{name} have the shape {labels.shape[1:]} a sample; the model's output of shape "
            f"{output_shape} a sample needs {expected} ({task.value})"
        )
    if task is Task.CLASSES:
        if labels.dtype.kind not in "iub":
            raise LabelError(f"{name} are {labels.dtype}; class indices are whole numbers")
        bad = (labels < 0) | (labels >= output_shape[0])
        count = output_shape[0]
        wanted = f"the model has {count} outputs, so classes are 0 to {count - 1}"
    elif task is Task.VALUES:
        bad = ~np.isfinite(labels.astype(np.float64))
        wanted = "expected a finite number"
    elif task is Task.MIXTURE:
        bad = ~_sums_to_one(labels)
        wanted = "expected a row that is not negative and sums to 1, like the others"
    else:
        bad = ~_zero_or_one(labels)
        wanted = "expected 0 or 1, like the others"
    if bad.any():
        sample = int(np.argwhere(bad)[0][0])
        shown = np.array2string(labels[sample], threshold=8)
        raise LabelError(f"{name}[{sample}] is {shown}; {wanted}")


def _same_classes(predicted: Tensor, actual: Tensor) -> Tensor:
    # In int32: a device need have int64 where indices are read and found, not compared.
    return predicted.astype(neurenix.int32) == actual.astype(neurenix.int32)


def score(task: Task, terminal: nn.Module | None) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function that sums a task's metric over a batch: ``(outputs, labels) -> scalar``.

    Args:
        task: The task.
        terminal: The activation that the model ends in, if any.
    """
    threshold = 0.5 if isinstance(terminal, nn.Sigmoid | nn.Softmax) else 0.0

    def correct_classes(outputs: Tensor, labels: Tensor) -> Tensor:
        return _sum_of_means(_same_classes(outputs.argmax(axis=1), labels))

    def correct_mixtures(outputs: Tensor, labels: Tensor) -> Tensor:
        return _sum_of_means(_same_classes(outputs.argmax(axis=1), labels.argmax(axis=1)))

    def correct_decisions(outputs: Tensor, labels: Tensor) -> Tensor:
        return _sum_of_means((outputs > threshold) == (labels > 0.5))

    def absolute_errors(outputs: Tensor, labels: Tensor) -> Tensor:
        return _sum_of_means(neurenix.abs(outputs - labels))

    return {
        Task.CLASSES: correct_classes,
        Task.BINARY: correct_decisions,
        Task.MIXTURE: correct_mixtures,
        Task.MULTILABEL: correct_decisions,
        Task.VALUES: absolute_errors,
    }[task]


def _sum_of_means(per_element: Tensor) -> Tensor:
    """Average within each sample, and sum over the samples."""
    values = per_element.astype(neurenix.float32)
    if values.ndim > 1:
        values = values.mean(axis=tuple(range(1, values.ndim)))
    return values.sum()


def _task_of_scalars(labels: Array, whole: bool, output_shape: tuple[int, ...], name: str) -> Task:
    if output_shape in ((), (1,)):
        if _zero_or_one(labels).all():
            return Task.BINARY
        if not whole:
            return Task.VALUES
        sample = int(np.argwhere(~_zero_or_one(labels))[0][0])
        raise LabelError(
            f"{name}[{sample}] is {labels[sample]}, a whole number other than 0 and 1, and the "
            f"model has a single output. To classify, give its last layer one output a class "
            f"({int(labels.max()) + 1}); to predict the number itself, pass the labels as floats"
        )
    if whole and len(output_shape) == 1:
        return Task.CLASSES
    if whole:
        raise LabelError(
            f"{name} hold one class a sample, and the model's output has the shape "
            f"{output_shape} a sample: expected labels of shape {output_shape[1:]} a sample"
        )
    raise LabelError(
        f"{name} are {labels.dtype}, one a sample, and the model's output has the shape "
        f"{output_shape} a sample. Class indices must be whole numbers "
        f"(astype(neurenix.int64)); to predict one number, give the last layer one output"
    )


def _task_of_rows(labels: Array, whole: bool, output_shape: tuple[int, ...], name: str) -> Task:
    shape = labels.shape[1:]
    if whole and len(output_shape) > 1 and shape == output_shape[1:]:
        return Task.CLASSES
    if shape != output_shape:
        raise LabelError(
            f"{name} have the shape {shape} a sample, and the model's output has {output_shape}. "
            f"Expected class indices, one a sample, or labels of the output's shape"
        )
    if len(shape) == 1 and _sums_to_one(labels).all():
        return Task.MIXTURE
    if _zero_or_one(labels).all():
        return Task.MULTILABEL
    if not whole:
        return Task.VALUES
    sample = int(np.argwhere(~_zero_or_one(labels))[0][0])
    raise LabelError(
        f"{name}[{sample}] is {np.array2string(labels[sample], threshold=8)}: a row of whole "
        f"numbers that are neither zeros and ones nor sum to 1. To predict the numbers "
        f"themselves, pass the labels as floats"
    )


def _zero_or_one(labels: Array) -> Array:
    return np.asarray((labels == 0) | (labels == 1))


def _sums_to_one(labels: Array) -> Array:
    rows = labels.astype(np.float64)
    return np.asarray((rows >= 0).all(axis=1) & (np.abs(rows.sum(axis=1) - 1.0) <= _SUM_TOLERANCE))
