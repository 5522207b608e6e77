"""The training loss with class weights and label smoothing.

With weights w and smoothing s over K classes, a sample of class y has the loss
``w[y] * -sum_k t[k] log p[k]`` with ``t = (1 - s) onehot(y) + s / K``; for binary labels
``t = (1 - s) y + s / 2``. The loss of a batch is the plain mean over its samples, not divided by
their weights: a sample counts the same in whatever batch it comes, in one of its own too.
Validation knows neither.

Reference:
    Szegedy et al., "Rethinking the Inception Architecture", 2016 (label smoothing).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import neurenix
from neurenix import Tensor, nn
from neurenix_transfer.class_weights import ClassWeight, class_weights
from neurenix_transfer.losses import Loss, log_probability
from neurenix_transfer.sources import Array
from neurenix_transfer.tasks import Task

PerSample: TypeAlias = Callable[[Tensor, Tensor], Tensor]

_WEIGHED = (Task.CLASSES, Task.MIXTURE, Task.BINARY)


def training_loss(
    loss: Loss,
    task: Task | None,
    terminal: nn.Module | None,
    *,
    labels: Array,
    classes: int,
    class_weight: ClassWeight | None,
    label_smoothing: float,
    given: bool,
) -> Loss:
    """Return a loss whose training part weighs classes and smooths labels.

    Args:
        loss: The loss that the labels led to.
        task: What the labels are.
        terminal: The Softmax, LogSoftmax or Sigmoid whose output is the model's, if any.
        labels: All training labels.
        classes: The number of the model's outputs a sample.
        class_weight: ``"balanced"``, a mapping from class to weight, or None.
        label_smoothing: The share of every target that is spread over the classes.
        given: Whether the loss was given by the user.

    Raises:
        ValueError: The labels are no classes, or the loss was given.
    """
    if class_weight is None and not label_smoothing:
        return loss
    asked = "class_weight" if class_weight is not None else "label_smoothing"
    if given:
        raise ValueError(
            f"{asked} belongs to the loss that is chosen by the labels; with a loss_fn of your "
            "own, give it there, as in CrossEntropyLoss(weight=..., label_smoothing=...)"
        )
    if task is None or task is Task.VALUES:
        raise ValueError(f"{asked} is for classes, and these labels are numbers to predict")
    if class_weight is not None and task not in _WEIGHED:
        raise ValueError(
            "class_weight weighs samples by their one class, and these have several at once. "
            "Pass loss_fn=nn.BCEWithLogitsLoss(pos_weight=...)"
        )
    per_sample = _per_sample(task, terminal, label_smoothing)
    extras = [f"label smoothing {label_smoothing:g}"] if label_smoothing else []
    if class_weight is None:
        function = _mean_of(per_sample)
    else:
        count = 2 if task is Task.BINARY else classes
        weights = class_weights(class_weight, task, labels, count)
        function = _weighted_mean_of(per_sample, task, weights)
        shown = ", ".join(f"{weight:.3g}" for weight in weights[:8])
        extras.insert(0, f"class weights {shown}{', ...' if count > 8 else ''}")
    return replace(loss, name=f"{loss.name} with {' and '.join(extras)}", function=function)


def _per_sample(task: Task, terminal: nn.Module | None, smoothing: float) -> PerSample:
    """Return ``(outputs, labels) -> (B,)`` or, for classes of parts, ``(B, ...)``."""
    if task in (Task.BINARY, Task.MULTILABEL) or isinstance(terminal, nn.Sigmoid):
        return _bce_per_sample(isinstance(terminal, nn.Sigmoid), smoothing)
    if not isinstance(terminal, nn.Softmax | nn.LogSoftmax):
        return lambda outputs, labels: neurenix.cross_entropy(
            outputs, labels, reduction="none", label_smoothing=smoothing
        )

    def nll(outputs: Tensor, labels: Tensor) -> Tensor:
        logs = outputs if isinstance(terminal, nn.LogSoftmax) else log_probability(outputs)
        if task is Task.MIXTURE:
            fitted = -(labels * logs).sum(axis=1)
        else:
            fitted = neurenix.nll_loss(logs, labels, reduction="none")
        return fitted * (1.0 - smoothing) - logs.mean(axis=1) * smoothing

    return nll


def _bce_per_sample(on_probabilities: bool, smoothing: float) -> PerSample:
    def bce(outputs: Tensor, labels: Tensor) -> Tensor:
        if labels.ndim < outputs.ndim:
            labels = neurenix.one_hot(labels.astype(neurenix.int64), outputs.shape[1])
        target = labels.astype(outputs.dtype) * (1.0 - smoothing) + smoothing / 2.0
        if on_probabilities:
            positive = target * log_probability(outputs)
            losses = -(positive + (1.0 - target) * log_probability(1.0 - outputs))
        else:
            losses = neurenix.bce_with_logits(outputs, target, reduction="none")
        return losses.mean(axis=tuple(range(1, losses.ndim))) if losses.ndim > 1 else losses

    return bce


def _mean_of(per_sample: PerSample) -> PerSample:
    return lambda outputs, labels: per_sample(outputs, labels).mean()


def _weighted_mean_of(per_sample: PerSample, task: Task, weights: Array) -> PerSample:
    def weighted(outputs: Tensor, labels: Tensor) -> Tensor:
        losses = per_sample(outputs, labels)
        of_class = neurenix.Tensor(weights).to(losses.device).astype(losses.dtype)
        if task is Task.MIXTURE:
            weight = (labels * of_class).sum(axis=1)
        elif task is Task.BINARY:
            weight = of_class[0] + labels.astype(losses.dtype) * (of_class[1] - of_class[0])
        else:
            weight = of_class[labels.astype(neurenix.int64)]
        return (losses * weight).mean()

    return weighted
