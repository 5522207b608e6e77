"""From what `fine_tune` was asked to measure to the metrics that do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from neurenix import Tensor, nn
from neurenix_transfer.metrics.classification import F1, TopK
from neurenix_transfer.metrics.metric import FunctionMetric, Metric
from neurenix_transfer.metrics.regression import R2
from neurenix_transfer.tasks import Task

MetricLike: TypeAlias = str | Metric | Callable[[Tensor, Tensor], object]

_NAMES = "accuracy, top3 (or any other k), f1, f1_macro, f1_binary, mae and r2"
_TAKEN = ("loss", "lr", "epoch_time")


def choose_metrics(
    wanted: MetricLike | Iterable[MetricLike],
    task: Task | None,
    output_shape: tuple[int, ...],
    terminal: nn.Module | None,
) -> list[Metric]:
    """Return the metrics to measure beside the one that every task has.

    Args:
        wanted: Names, metrics and functions ``(outputs, labels) -> number``; or one of them.
        task: What the labels are; None where a loss was given that may know more of them.
        output_shape: The shape of one sample's output.
        terminal: The Softmax, LogSoftmax or Sigmoid whose output is the model's, if any.

    Raises:
        ValueError: A name is unknown, not of this task, or comes twice.
        TypeError: Something is no metric.
    """
    items = [wanted] if isinstance(wanted, str | Metric) or callable(wanted) else list(wanted)
    chosen: list[Metric] = []
    names: set[str] = set(_TAKEN)
    if task is not None:
        names.add(task.metric)
    for item in items:
        metric = _metric(item, task, output_shape, terminal)
        if metric is None:  # the task's own, which is measured anyway
            continue
        if metric.name in names:
            raise ValueError(
                f"two metrics are called {metric.name!r}, or it is a key of the history already; "
                "rename one"
            )
        names.add(metric.name)
        chosen.append(metric)
    return chosen


def _metric(
    item: Any, task: Task | None, output_shape: tuple[int, ...], terminal: nn.Module | None
) -> Metric | None:
    if isinstance(item, Metric):
        return item
    if not isinstance(item, str):
        if isinstance(item, type) or not callable(item):
            raise TypeError(
                f"metrics are names ({_NAMES}), Metric objects and functions (outputs, labels) -> "
                f"number; not {item!r}"
            )
        return FunctionMetric(item)
    name = item.lower().replace("-", "_")
    top = re.fullmatch(r"top_?(\d+)", name)
    if name not in ("accuracy", "f1", "f1_macro", "f1_binary", "mae", "r2") and not top:
        raise ValueError(f"there is no metric {item!r}; there are {_NAMES}, or pass a function")
    if task is None:
        raise ValueError(
            f"what {item!r} means is not known, as the loss that was given may know more of its "
            "labels; pass a function (outputs, labels) -> number"
        )
    if (name in ("mae", "r2")) is not (task is Task.VALUES):
        kind = "numbers to predict" if task is Task.VALUES else "classes"
        raise ValueError(f"{item!r} does not go with labels that are {kind}")
    if name in ("accuracy", "mae"):
        return None
    if name == "r2":
        return R2()
    if top:
        return _top(int(top[1]), task, output_shape)
    return _f1(name, task, output_shape, terminal)


def _top(k: int, task: Task, output_shape: tuple[int, ...]) -> Metric:
    if task is not Task.CLASSES:
        raise ValueError(f"'top{k}' is for labels that are class indices")
    if not 1 <= k <= output_shape[0]:
        raise ValueError(f"'top{k}' needs a model of {k} outputs; this one has {output_shape[0]}")
    return TopK(k)


def _f1(name: str, task: Task, output_shape: tuple[int, ...], terminal: nn.Module | None) -> Metric:
    classes = 1 if task is Task.BINARY else output_shape[0]
    two = task is Task.BINARY or (classes == 2 and task is not Task.MULTILABEL)
    if name == "f1_binary" and not two:
        raise ValueError(f"'f1_binary' is for two classes, and there are {classes}; use 'f1_macro'")
    threshold = 0.5 if isinstance(terminal, nn.Sigmoid | nn.Softmax) else 0.0
    average = "macro" if name == "f1_macro" or not two else "binary"
    if task is Task.BINARY and average == "macro":
        raise ValueError("'f1_macro' needs one output a class; for a single output use 'f1'")
    return F1("macro" if average == "macro" else "binary", classes, task, threshold, name)
