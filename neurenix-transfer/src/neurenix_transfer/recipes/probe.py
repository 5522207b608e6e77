"""The recipe ``"probe"``: the best linear head on a base that stays as it is.

Reference: Alain and Bengio, "Understanding intermediate layers using linear classifier probes",
2016.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

import neurenix
from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix_transfer.history import History
from neurenix_transfer.linear_probe import LinearProbe, fit_linear_probe
from neurenix_transfer.losses import Loss, align, find_loss
from neurenix_transfer.metrics import Metric, choose_metrics
from neurenix_transfer.probing import probe
from neurenix_transfer.recipes.copies import group_copies
from neurenix_transfer.recipes.head_features import checked_data, head_features
from neurenix_transfer.recipes.heads import LinearHead, linear_head, not_last
from neurenix_transfer.recipes.job import Job, RecipeError
from neurenix_transfer.sources import Array, placed
from neurenix_transfer.tasks import LabelError, Task, check_labels, score
from neurenix_transfer.totals import Totals

PHASE = "probe"
_FITTED = (Task.CLASSES, Task.BINARY, Task.VALUES)


@dataclass(frozen=True)
class ProbeData:
    """What a probe is fitted and measured on.

    Attributes:
        head: The layer that it sets.
        task: What the labels are.
        loss: The loss that is recorded.
        train: Features and labels.
        val: The same of the validation data, if any.
        metrics: What is measured beside the task's own metric.
        seconds: What reading them took.
        groups: Which training samples are copies of each other; None where that is not known.
    """

    head: LinearHead
    task: Task
    loss: Loss
    train: tuple[Array, Array]
    val: tuple[Array, Array] | None
    metrics: list[Metric]
    seconds: float
    groups: Array | None = None


def run_probe(job: Job, data: ProbeData | None = None) -> History:
    """Fit a probe, set it into the model's head, and return a history of one epoch.

    Args:
        job: The job; its epochs and rates have no meaning here.
        data: What `read_probe_data` returned for it, if that was called already.

    Raises:
        RecipeError: The model's head is not one Linear.
        LabelError: The labels are neither classes nor values.
    """
    data = data or read_probe_data(job)
    started = time.perf_counter()
    fitted = fit(data, *data.train, job.seed, data.groups)
    set_probe(data, fitted)
    history = History(
        data.task.metric, data.val is not None, [metric.name for metric in data.metrics]
    )
    values = _measure(data, "train", history)
    if data.val is not None:
        values |= _measure(data, "val", history)
    seconds = time.perf_counter() - started
    history.record({**values, "lr": 0.0, "epoch_time": data.seconds + seconds})
    history.phases = [PHASE]
    job.model.eval()
    kind = "accuracy" if fitted.is_classifier else "R²"
    val_score = history[f"val_{history.metric}"]
    validated = f", val_{history.metric} {val_score[0]:.4f}" if val_score else ""
    job.say(
        f"Probe: fitted in {seconds:.2f} s on {len(data.train[0])} samples by "
        f"{data.train[0].shape[1]} features, strength {fitted.strength:g} (cross-validated {kind} "
        f"{fitted.score:.4f}){validated}"
    )
    return history


def read_probe_data(job: Job) -> ProbeData:
    """Run the model over all samples once, and keep what goes into its last Linear.

    Raises:
        RecipeError: The model's head is not one Linear.
        LabelError: The labels are neither classes nor values.
    """
    started = time.perf_counter()
    model = job.model
    head = linear_head(model)
    checked = checked_data(job, head)
    train, val = checked["train"], checked.get("val")
    found = probe(model, placed(model, train.first))
    if found.terminal is not None:
        raise not_last(head, model)
    task, loss = find_loss(train.labels, found.output_shape, None, None)
    if task not in _FITTED:
        raise LabelError(
            f"train_labels are {task.value if task else 'unknown'}; a linear probe is fitted to "
            "classes, one a sample, or to values. Train by gradients instead: "
            "fine_tune(model, optimizer, ...) without a recipe"
        )
    if val is not None:
        check_labels(task, val.labels, found.output_shape, "val_labels")
    metrics = choose_metrics(job.options.get("metrics", ()), task, found.output_shape, None)
    features = head_features(job, head, checked)
    seconds = time.perf_counter() - started
    copies = group_copies(job.train_data)
    return ProbeData(
        head, task, loss, features["train"], features.get("val"), metrics, seconds,
        None if copies is None else np.array(copies),
    )  # fmt: skip


def fit(
    data: ProbeData, features: Array, labels: Array, seed: int, groups: Array | None = None
) -> LinearProbe:
    """Fit a probe for a task, the strength of its penalty chosen by cross-validation.

    Copies, which ``groups`` tells, stay on one side of its folds.
    """
    together = None if groups is None else groups.tolist()
    if data.task is Task.VALUES:
        return fit_linear_probe(features, labels.astype("float64"), seed=seed, groups=together)
    classes = 2 if data.task is Task.BINARY else data.head.linear.out_features
    return fit_linear_probe(
        features, labels.astype("int64"), seed=seed, num_classes=classes, groups=together
    )


def set_probe(data: ProbeData, fitted: LinearProbe) -> None:
    """Set a probe into the model's last Linear."""
    weight, bias = fitted.weight, fitted.bias
    if data.task is Task.BINARY:  # one logit, that of class 1 against class 0
        weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
    if weight.shape != tuple(data.head.linear.weight.shape):
        raise RecipeError(
            f"the probe has weights of the shape {weight.shape}, the Linear {data.head.name!r} "
            f"{tuple(data.head.linear.weight.shape)}; give it one output a class or a value"
        )
    data.head.set(weight, bias)


def _measure(data: ProbeData, part: str, history: History) -> dict[str, float]:
    """Return loss and metrics as `fine_tune` records them, from the features."""
    pair = data.train if part == "train" else data.val
    assert pair is not None
    linear = data.head.linear
    totals = Totals(data.metrics)
    with no_grad():
        features = Tensor(pair[0]).to(linear.weight.device).astype(linear.weight.dtype)
        labels = Tensor(pair[1]).to(linear.weight.device)
        if data.loss.float_labels:
            labels = labels.astype(linear.weight.dtype)
        else:
            labels = labels.astype(neurenix.int64)
        outputs = align(linear(features), labels)
        totals.losses.append((data.loss.evaluation(outputs, labels), len(pair[0])))
        totals.scores.append(score(data.task, None)(outputs, labels))
        totals.measure(outputs, labels)
    return totals.values(part, history)
