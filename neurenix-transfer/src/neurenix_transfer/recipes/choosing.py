"""The recipe ``"auto"``: which recipe suits the data, by cross-validation on the training data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from neurenix_transfer.folds import make_folds
from neurenix_transfer.recipes.job import Job
from neurenix_transfer.recipes.probe import ProbeData, fit, read_probe_data
from neurenix_transfer.recipes.trials import ByGradients, divisible, try_recipe
from neurenix_transfer.sources import Array
from neurenix_transfer.standard_basis import Floats
from neurenix_transfer.tasks import Task

FOLDS = 3
"""More cost more, and change a recipe's place among others little."""

_MARGIN = 0.01  # a gain below a point is not worth minutes where a probe takes a second
_LIKELY_CUT = 0.5  # the share of a probe's errors that fine-tuning may correct at best
_FEWEST = 10  # samples of the rarest class, below which folds tell nothing
_ENOUGH = 1000  # held-out samples that tell a difference of a point; more folds are not run

Followed: TypeAlias = Literal["probe", "lp-ft", "progressive"]
Trial: TypeAlias = Callable[[Job, ByGradients, Array, Array], Floats]
_BY_GRADIENTS: tuple[ByGradients, ...] = ("lp-ft", "progressive")


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why.

    Attributes:
        recipe: The recipe.
        reason: Why, in words.
        scores: The cross-validated accuracy (for values, the negated mean absolute error) of each
            recipe that was tried.
    """

    recipe: Followed
    reason: str
    scores: dict[str, float] = field(default_factory=dict)


def choose(job: Job, trial: Trial = try_recipe) -> tuple[Choice, ProbeData]:
    """Choose a recipe for a job; the model is left as it was.

    The probe is the rule, for it costs a second. Another recipe is taken where its held-out
    predictions are better than the probe's by more than the standard error of that difference,
    sample by sample (the one-standard-error rule of Breiman, Friedman, Olshen and Stone, 1984).

    Args:
        job: The job; its validation data are not looked at.
        trial: Trains by a recipe on some samples, and scores it on others.

    Returns:
        The choice, and the features that were read for it.
    """
    data = read_probe_data(job)
    labels = data.train[1]
    classes = None if data.task is Task.VALUES else labels.astype(np.int64)
    groups = data.groups
    rarest = _fewest(classes, np.arange(len(labels)) if groups is None else groups)
    if rarest < _FEWEST:
        different = "" if groups is None else "different "
        why = f"{rarest} {different}samples" + (" of a class" if classes is not None else "")
        return Choice("probe", f"{why} are too few to compare recipes by cross-validation"), data
    folds = make_folds(
        len(labels), FOLDS, job.seed, classes, None if groups is None else groups.tolist()
    )
    probed = [_probe_scores(data, job.seed, fold) for fold in folds]
    scores = {"probe": float(np.concatenate(probed).mean())}
    shown = _shown(data.task, scores["probe"])
    base = f"{FOLDS}-fold cross-validation on {len(labels)} training samples gives a probe {shown}"
    if data.task is not Task.VALUES and (1.0 - scores["probe"]) * _LIKELY_CUT < _MARGIN:
        gain = f"half of its errors are less than {100 * _MARGIN:.0f} point"
        return Choice("probe", f"{base}; {gain}, so that no other was tried", scores), data
    if not divisible(job.train_data):
        what = type(job.train_data).__name__
        return Choice("probe", f"{base}; a {what} cannot be divided to try others", scores), data
    used, held_out = 0, 0
    while used < len(folds) and held_out < _ENOUGH:
        held_out += len(folds[used])
        used += 1
    if used < len(folds):
        base += f" ({held_out} of them held out for the others)"
    best: Followed = "probe"
    best_gain = 0.0
    known = np.concatenate(probed[:used])
    tried = []
    for recipe in _BY_GRADIENTS:
        found = np.concatenate([trial(job, recipe, _rest(fold, len(labels)), fold)
                                for fold in folds[:used]])  # fmt: skip
        better, error = _difference(found - known)
        scores[recipe] = float(found.mean())
        tried.append(f"{recipe} {_shown(data.task, scores[recipe])} ({better:+.4f} ± {error:.4f})")
        if better > error and better > best_gain:
            best, best_gain = recipe, better
    base += ", " + ", ".join(tried)
    if best == "probe":
        reason = f"{base}; no gain beyond its standard error"
    else:
        reason = f"{base}; the gain of {best} is beyond its standard error"
    return Choice(best, reason, scores), data


def _probe_scores(data: ProbeData, seed: int, fold: Array) -> Floats:
    """Fit a probe without a fold, and score it on that."""
    features, labels = data.train
    rest = _rest(fold, len(labels))
    groups = None if data.groups is None else data.groups[rest]
    probe = fit(data, features[rest], labels[rest], seed, groups)
    predicted = probe.predict(features[fold])
    if data.task is Task.VALUES:
        errors = np.abs(predicted - labels[fold].reshape(predicted.shape))
        scores: Floats = -errors.reshape(len(fold), -1).mean(axis=1)
        return scores
    return np.asarray(predicted == labels[fold].astype(np.int64), np.float64)


def _fewest(classes: Array | None, groups: Array) -> int:
    """Return how many different samples there are, of the rarest class where there are classes."""
    if classes is None:
        return len(np.unique(groups))
    return min(len(np.unique(groups[classes == label])) for label in np.unique(classes))


def _difference(differences: Floats) -> tuple[float, float]:
    """Return the mean of paired differences, and its standard error."""
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return float(differences.mean()), error


def _rest(fold: Array, count: int) -> Array:
    return np.setdiff1d(np.arange(count), fold)


def _shown(task: Task, score: float) -> str:
    return f"a mean absolute error of {-score:.4g}" if task is Task.VALUES else f"{score:.4f}"
