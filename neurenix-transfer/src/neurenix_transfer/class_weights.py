"""How much each class counts in the training loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np

from neurenix_transfer.numbers import is_number
from neurenix_transfer.sources import Array
from neurenix_transfer.tasks import Task

ClassWeight: TypeAlias = Literal["balanced"] | Mapping[int, float]


def check_class_weight(given: ClassWeight | None) -> None:
    """Check what was given as class weights, as far as it can be without the labels.

    Raises:
        TypeError: It is neither ``"balanced"`` nor a mapping of numbers.
        ValueError: A weight is negative.
    """
    if given is None or given == "balanced":
        return
    if not isinstance(given, Mapping):
        raise TypeError(
            f'class_weight is "balanced" or a mapping such as {{0: 1.0, 1: 5.0}}, not {given!r}'
        )
    for key, weight in given.items():
        if isinstance(key, bool) or not hasattr(key, "__index__"):
            raise TypeError(f"class_weight maps class indices to weights; got the class {key!r}")
        if not is_number(weight) or weight < 0:
            raise ValueError(f"class_weight[{key}] is a number of at least 0, not {weight!r}")


def class_weights(given: ClassWeight, task: Task, labels: Array, classes: int) -> Array:
    """Return the weight of each class.

    ``"balanced"`` gives ``N / (K * N_c)`` for a class of ``N_c`` of ``N`` samples, where ``K``
    classes occur: every class counts the same, and the mean weight of a sample is 1. In a mapping,
    classes that are not named weigh 1.

    Args:
        given: ``"balanced"``, or a mapping from class to weight.
        task: What the labels are: classes, mixtures of them, or binary.
        labels: All training labels.
        classes: How many classes there are.

    Raises:
        ValueError: A class is named that does not exist, or all weights are 0.
    """
    if isinstance(given, Mapping):
        return _from_mapping(given, classes)
    if task is Task.MIXTURE:
        counts = labels.astype(np.float64).sum(axis=0)
    else:
        counts = np.bincount(labels.reshape(-1).astype(np.int64), minlength=classes).astype(
            np.float64
        )
    present = counts > 0
    total = math.fsum(counts)
    weights = np.ones(classes)
    weights[present] = total / (present.sum() * counts[present])
    return weights


def _from_mapping(given: Mapping[int, float], classes: int) -> Array:
    weights = np.ones(classes)
    for key, weight in given.items():
        if not 0 <= int(key) < classes:
            raise ValueError(
                f"class_weight names the class {key}; the classes are 0 to {classes - 1}"
            )
        weights[int(key)] = weight
    if not weights.any():
        raise ValueError("class_weight gives every class the weight 0, so nothing can be learned")
    return weights
