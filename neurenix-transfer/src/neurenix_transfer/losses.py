"""Which loss fine-tuning uses when none is given, and how outputs meet labels.

| labels | output of the model | task | loss |
|---|---|---|---|
| int or bool ``(N,)`` | ``(N, K)`` | classes | cross-entropy |
| 0 and 1, int or float ``(N,)`` | one value a sample | binary | BCE with logits |
| rows ``(N, K)``, non-negative, summing to 1 | ``(N, K)`` | mixture | soft cross-entropy |
| other rows of zeros and ones | ``(N, K)`` | multilabel | BCE with logits |
| other floats | of the same shape | values | mean squared error |

A model that ends in Softmax, LogSoftmax or Sigmoid gets the loss that takes its probabilities.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import neurenix
from neurenix import Tensor, nn
from neurenix_transfer.sources import Array
from neurenix_transfer.tasks import LabelError, Task, check_labels, find_task

LossFunction: TypeAlias = Callable[[Tensor, Tensor], Tensor]

_SMALLEST_PROBABILITY = 1e-12  # far below what float32 softmax resolves beside 1, far above 0


@dataclass(frozen=True)
class Loss:
    """A loss function with what it is called.

    Attributes:
        name: For the printed line, such as ``"cross-entropy"``.
        function: ``(outputs, labels) -> scalar``, the mean over the samples of a batch.
        evaluation: The same for validation: without class weights and label smoothing.
        float_labels: Whether labels are handed over as floats.
        is_sum: Whether ``function`` gives the sum over the samples instead of their mean.
    """

    name: str
    function: LossFunction
    evaluation: LossFunction
    float_labels: bool
    is_sum: bool = False


_CLASSIFYING = (nn.CrossEntropyLoss, nn.NLLLoss)
_REGRESSING = (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss)
_NAME = "train_labels"  # in errors
_EXTRAS = ("weight", "pos_weight", "label_smoothing")
_CLASSIFYING_FUNCTIONS = (neurenix.cross_entropy, neurenix.nll_loss)
_REGRESSING_FUNCTIONS = (neurenix.mse_loss, neurenix.l1_loss, neurenix.smooth_l1_loss)
_KNOWN_FUNCTIONS = (*_CLASSIFYING_FUNCTIONS, *_REGRESSING_FUNCTIONS, neurenix.bce_with_logits)


def find_loss(
    labels: Array,
    output_shape: tuple[int, ...],
    terminal: nn.Module | None,
    loss_fn: LossFunction | None,
) -> tuple[Task | None, Loss]:
    """Find out what the training labels are, and which loss is computed from them.

    Args:
        labels: All of them.
        output_shape: The shape of one sample's output, without the batch axis.
        terminal: The Softmax, LogSoftmax or Sigmoid whose output is the model's, if any.
        loss_fn: The loss that was given; None to choose one.

    Returns:
        The task, and the loss. The task is None where a loss was given that may know more of its
        labels than is known here.

    Raises:
        LabelError: The labels do not fit the model's output, or the loss.
        TypeError: What was given as a loss cannot be called.
    """
    if loss_fn is None:
        task = find_task(labels, output_shape, _NAME)
        return task, choose_loss(task, terminal)
    wanted = task_of(labels, output_shape, loss_fn)
    return wanted, wrap_loss(loss_fn, wanted)


def task_of(labels: Array, output_shape: tuple[int, ...], loss_fn: LossFunction) -> Task | None:
    """Find out what labels are, given the loss that is computed from them.

    Raises:
        LabelError: The labels do not fit the model's output, or the loss.
    """
    function = loss_fn.func if isinstance(loss_fn, partial) else loss_fn
    if getattr(loss_fn, "ignore_index", None) is not None:
        return None  # some labels are none, and count for no metric
    if isinstance(loss_fn, _REGRESSING) or function in _REGRESSING_FUNCTIONS:
        check_labels(Task.VALUES, labels, output_shape, _NAME)
        return Task.VALUES
    if isinstance(loss_fn, _CLASSIFYING) or function in _CLASSIFYING_FUNCTIONS:
        task = Task.CLASSES if labels.dtype.kind in "iub" else Task.MIXTURE
        if task is Task.CLASSES and labels.shape[1:] == output_shape:
            task = Task.MIXTURE  # one-hot rows of integers
        check_labels(task, labels, output_shape, _NAME)
        return task
    try:
        return find_task(labels, output_shape, _NAME)
    except LabelError:
        return None


def choose_loss(task: Task, terminal: nn.Module | None) -> Loss:
    """Choose the loss for a task, given the activation that the model ends in.

    Args:
        task: What the labels are.
        terminal: The Softmax, LogSoftmax or Sigmoid whose output is the model's, if any.
    """
    if isinstance(terminal, nn.Softmax | nn.Sigmoid) and task is not Task.VALUES:
        warnings.warn(
            f"the model ends in {type(terminal).__name__}, so its loss is computed from "
            "probabilities. That loses precision near 0 and 1: end the model in its last Linear, "
            "whose output this loss takes directly.",
            stacklevel=4,
        )
    if task is Task.VALUES:
        return _loss("mean squared error", neurenix.mse_loss, float_labels=True)
    if isinstance(terminal, nn.Sigmoid):
        return _loss("binary cross-entropy on probabilities", bce_on_probabilities, True)
    if task in (Task.BINARY, Task.MULTILABEL):
        return _loss("binary cross-entropy with logits", neurenix.bce_with_logits, True)
    kind = "cross-entropy" if task is Task.CLASSES else "soft cross-entropy"
    soft = task is Task.MIXTURE
    function: LossFunction
    if isinstance(terminal, nn.Softmax):
        function = soft_nll_on_probabilities if soft else nll_on_probabilities
        return _loss(f"{kind} on probabilities (NLL)", function, soft)
    if isinstance(terminal, nn.LogSoftmax):
        function = soft_nll if soft else neurenix.nll_loss
        return _loss(f"{kind} on log-probabilities (NLL)", function, soft)
    return _loss(kind, neurenix.cross_entropy, soft)


def wrap_loss(loss_fn: LossFunction, task: Task | None) -> Loss:
    """Take in a loss function that the user gives.

    Args:
        loss_fn: The function, or a loss module.
        task: What the labels are, as far as it is known.

    Raises:
        TypeError: It cannot be called.
    """
    if not callable(loss_fn):
        raise TypeError(
            f"loss_fn is a function (outputs, labels) -> loss, a loss module such as "
            f"nn.CrossEntropyLoss(), or None to choose one by the labels; not {loss_fn!r}"
        )
    function: Any = loss_fn.func if isinstance(loss_fn, partial) else loss_fn
    return Loss(
        name=getattr(function, "__name__", type(function).__name__),
        function=loss_fn,
        evaluation=_without_training_extras(loss_fn),
        float_labels=task is Task.MIXTURE
        or isinstance(loss_fn, (*_REGRESSING, nn.BCEWithLogitsLoss))
        or function in (*_REGRESSING_FUNCTIONS, neurenix.bce_with_logits),
        is_sum=getattr(loss_fn, "reduction", "mean") == "sum",
    )


def nll_on_probabilities(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood of class indices under probabilities."""
    return neurenix.nll_loss(log_probability(probabilities), labels)


def soft_nll(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of rows of class probabilities, given the model's log-probabilities."""
    return -(labels * log_probabilities).sum(axis=1).mean()


def soft_nll_on_probabilities(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of rows of class probabilities, given the model's probabilities."""
    return soft_nll(log_probability(probabilities), labels)


def bce_on_probabilities(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of zeros and ones, given the model's probabilities.

    Class indices are taken as rows with a single one.
    """
    if labels.ndim < probabilities.ndim:
        labels = neurenix.one_hot(labels.astype(neurenix.int64), probabilities.shape[1])
    labels = labels.astype(probabilities.dtype)
    positive = labels * log_probability(probabilities)
    return -(positive + (1.0 - labels) * log_probability(1.0 - probabilities)).mean()


def align(outputs: Tensor, labels: Tensor) -> Tensor:
    """Bring outputs of shape ``(B, 1)`` to the ``(B,)`` of their labels.

    Nothing may broadcast ``(B, 1)`` against ``(B,)``: the result would be ``(B, B)``, a loss over
    every pair, and no error.
    """
    if outputs.ndim == labels.ndim + 1 and outputs.shape == (*labels.shape, 1):
        return outputs.reshape(labels.shape)
    return outputs


def log_probability(probabilities: Tensor) -> Tensor:
    """Return the logarithm of probabilities; of 0, that of the smallest that is told apart."""
    return neurenix.log(neurenix.maximum(probabilities, _SMALLEST_PROBABILITY))


def _loss(name: str, function: LossFunction, float_labels: bool) -> Loss:
    return Loss(name, function, function, float_labels)


def _without_training_extras(loss_fn: Any) -> LossFunction:
    """Return a user's loss without class weights and smoothing, as validation measures it."""
    plain: LossFunction = loss_fn
    if isinstance(loss_fn, nn.CrossEntropyLoss):
        plain = nn.CrossEntropyLoss(ignore_index=loss_fn.ignore_index)
    elif isinstance(loss_fn, nn.NLLLoss):
        plain = nn.NLLLoss()
    elif isinstance(loss_fn, nn.BCEWithLogitsLoss):
        plain = nn.BCEWithLogitsLoss()
    elif isinstance(loss_fn, partial) and loss_fn.func in _KNOWN_FUNCTIONS:
        kept = {key: value for key, value in loss_fn.keywords.items() if key not in _EXTRAS}
        plain = partial(loss_fn.func, *loss_fn.args, **kept)
    return plain
