"""A recipe tried out: trained on some of the training samples, and scored on others."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np

from neurenix import Tensor
from neurenix.data import DataLoader, Subset
from neurenix_transfer.cache import CacheOptions
from neurenix_transfer.cache.policy import decide
from neurenix_transfer.metrics import FunctionMetric
from neurenix_transfer.recipes.job import Job
from neurenix_transfer.sources import Array
from neurenix_transfer.standard_basis import Floats

ByGradients: TypeAlias = Literal["lp-ft", "progressive"]

# What concerns the run that is asked for, and not a trial.
_NOT_FOR_TRIALS = (
    "callbacks",
    "metrics",
    "early_stopping",
    "patience",
    "checkpoint_dir",
    "resume_from_checkpoint",
    "save_total_limit",
)


def divisible(data: Any) -> bool:
    """Whether samples can be picked out of training data."""
    if isinstance(data, DataLoader):
        return True
    return hasattr(data, "__len__") and hasattr(data, "__getitem__")


def try_recipe(job: Job, recipe: ByGradients, rest: Array, fold: Array) -> Floats:
    """Train a copy of the model on some samples, and score it on others, sample by sample.

    Args:
        job: The job; its model is left as it is.
        recipe: The recipe to follow.
        rest: The samples to train on.
        fold: The samples to score it on.

    Returns:
        For classes 1 where a sample is right and 0 where it is wrong; for values the negated
        absolute error.
    """
    from neurenix_transfer.recipes.lp_ft import run_lp_ft
    from neurenix_transfer.recipes.progressive import run_progressive

    seen: list[Floats] = []

    def collect(outputs: Any, labels: Any) -> float:
        seen.append(_scores(np.asarray(_array(outputs)), np.asarray(_array(labels))))
        return float(seen[-1].mean())

    options = {k: v for k, v in job.options.items() if k not in _NOT_FOR_TRIALS}
    options["metrics"] = [FunctionMetric(collect)]
    if options.get("cache", "auto") == "auto" and _lasts(job):
        options["cache"] = "disk"  # one fold after another, and the run itself, use it again
    train, train_labels = _picked(job.train_data, job.train_labels, rest, shuffle=True)
    held, held_labels = _picked(job.train_data, job.train_labels, fold, shuffle=False)
    trial = replace(
        job,
        model=copy.deepcopy(job.model),
        train_data=train,
        train_labels=train_labels,
        val_data=held,
        val_labels=held_labels,
        restore_best=False,
        verbose=0,
        options=options,
    )
    (run_lp_ft if recipe == "lp-ft" else run_progressive)(trial)
    return seen[-1]  # the validation of the last epoch comes last


def _lasts(job: Job) -> bool:
    """Whether the features of a sample can be found again by another run."""
    source = job.checked()[0].source
    return decide("train", source, CacheOptions(), job.seed).lasting


def _picked(data: Any, labels: Any, samples: Array, *, shuffle: bool) -> tuple[Any, Any]:
    """Return some of the samples of data, with their labels."""
    if isinstance(data, DataLoader):
        part, _ = _picked(data.dataset, None, samples, shuffle=shuffle)
        own = DataLoader(part, data.batch_size, shuffle, collate_fn=data.collate_fn)
        return own, None
    numbers = [int(sample) for sample in samples]
    chosen_labels = None
    if labels is not None:
        keep = isinstance(labels, Tensor | np.ndarray)
        chosen_labels = labels[numbers] if keep else [labels[number] for number in numbers]
    if isinstance(data, Tensor | np.ndarray):
        return data[numbers], chosen_labels
    if isinstance(data, list | tuple):
        return [data[number] for number in numbers], chosen_labels
    if hasattr(data, "select"):
        return data.select(numbers), chosen_labels
    return Subset(data, numbers), chosen_labels


def _scores(outputs: Array, labels: Array) -> Floats:
    whole = labels.dtype.kind in "iub"
    if whole and outputs.ndim == 2 and outputs.shape[1] > 1:
        return np.asarray(outputs.argmax(axis=1) == labels, np.float64)
    outputs = outputs.reshape(labels.shape)
    if np.isin(labels, (0, 1)).all():
        return np.asarray((outputs > 0) == (labels > 0.5), np.float64)
    errors: Floats = np.abs(outputs - labels).reshape(len(labels), -1).mean(axis=1)
    return np.asarray(-errors, np.float64)


def _array(values: Any) -> Array:
    found: Array = values.numpy() if isinstance(values, Tensor) else np.asarray(values)
    return found
