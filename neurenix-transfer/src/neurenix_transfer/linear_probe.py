"""A linear probe: the best linear head on features that stay as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurenix import Tensor
from neurenix.nn import Linear, init
from neurenix_transfer.checking import DataError, labels_array
from neurenix_transfer.folds import make_folds
from neurenix_transfer.logistic import cross_entropies, logistic_path, two_rows
from neurenix_transfer.sources import Array
from neurenix_transfer.standard_basis import Floats, StandardBasis
from neurenix_transfer.tasks import LabelError

STRENGTHS = (10.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.001, 0.0001)
"""The strengths of the L2 penalty that are tried. Features are standardised, so that they mean much
the same for all: a few hundred samples want 0.03 to 0.1, many thousands less."""

_FINAL_TOLERANCE = 1e-10
_TRIAL_TOLERANCE = 1e-4  # a held-out loss changes by about its square


@dataclass(frozen=True)
class StrengthScore:
    """How well a strength of the penalty does on held-out samples.

    Attributes:
        strength: The strength.
        loss: The mean cross-entropy, or mean squared error.
        score: The accuracy, or R².
    """

    strength: float
    loss: float
    score: float


@dataclass(frozen=True)
class LinearProbe:
    """A linear model of features: a ready head.

    Attributes:
        weight: ``(K, C)``.
        bias: ``(K,)``.
        is_classifier: Whether its outputs are logits of K classes; else they are values.
        strength: The strength of the penalty that it was fitted with.
        scores: What each strength that was tried gave, from the strongest to the weakest.
    """

    weight: Floats = field(repr=False)
    bias: Floats = field(repr=False)
    is_classifier: bool
    strength: float
    scores: tuple[StrengthScore, ...]

    @property
    def chosen(self) -> StrengthScore:
        """What the strength that was chosen gave."""
        return next(each for each in self.scores if each.strength == self.strength)

    @property
    def score(self) -> float:
        """The held-out accuracy (R² for values) at the strength that was chosen."""
        return self.chosen.score

    @property
    def loss(self) -> float:
        """The held-out loss at the strength that was chosen."""
        return self.chosen.loss

    def outputs(self, features: Any) -> Floats:
        """Return the logits or values of features, ``(N, C)``, as ``(N, K)``."""
        out: Floats = _matrix(features, "features") @ self.weight.T + self.bias
        return out

    def predict(self, features: Any) -> Array:
        """Return the class of each sample, ``(N,)``, or its values, ``(N, K)``."""
        outputs = self.outputs(features)
        return outputs.argmax(axis=1) if self.is_classifier else outputs

    def to_linear(self) -> Linear:
        """Return the probe as a layer, such as the new layers of a `TransferModel`."""
        outputs, width = self.weight.shape
        with init.skip():
            linear = Linear(width, outputs)
        linear.load_state_dict(
            {"weight": self.weight.astype(np.float32), "bias": self.bias.astype(np.float32)}
        )
        return linear


def fit_linear_probe(
    features: Any,
    labels: Any,
    *,
    val: tuple[Any, Any] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    folds: int = 5,
    seed: int = 0,
    num_classes: int | None = None,
    groups: Sequence[int] | None = None,
) -> LinearProbe:
    """Fit a linear head on features, and choose how strongly its weights are held back.

    Whole numbers as labels are classes: multinomial (for two classes binary) logistic regression,
    ``mean cross-entropy + strength / 2 * |W|^2``, by L-BFGS. Floats are values: ridge regression,
    ``mean squared error / 2 + strength / 2 * |W|^2``. Features are standardised for the fit, and
    the result is a model of the features as they came. The bias is not penalised.

    The strength with the lowest held-out loss is chosen: by cross-validation, after which the
    probe is fitted on all samples, or on samples that were set aside. All is in float64, and the
    same data and seed give the same result.

    Args:
        features: ``(N, C)``: a tensor or an array.
        labels: A class or values a sample, ``(N,)`` or ``(N, K)``.
        val: Features and labels to choose the strength on; None chooses by cross-validation.
        strengths: The strengths to try.
        folds: The number of folds, stratified by class.
        seed: What the division into folds depends on.
        num_classes: How many classes there are; by default one more than the highest label.
        groups: A number a sample; samples of one number, such as copies, stay on one side of
            every fold.

    Raises:
        DataError: Features and labels do not fit together.
        LabelError: The labels are no classes and no values.
        ValueError: There is no strength, or one that is not greater than 0.

    Examples:
        >>> import numpy as np
        >>> from neurenix.transfer import fit_linear_probe
        >>> features = np.random.default_rng(0).normal(size=(60, 4))
        >>> probe = fit_linear_probe(features, (features[:, 0] > 0).astype(int))
        >>> probe.score > 0.9, probe.to_linear().weight.shape
        (True, (2, 4))
    """
    matrix = _matrix(features, "features")
    path = sorted({float(strength) for strength in strengths}, reverse=True)
    if not path or not path[-1] > 0.0:
        raise ValueError(f"strengths are numbers greater than 0, at least one; got {strengths!r}")
    problem = _problem(matrix, labels_array(labels, "labels"), "labels", num_classes)
    if val is None:
        held_out = _cross_validate(problem, path, folds, seed, groups)
    else:
        other = labels_array(val[1], "val labels")
        held_out = _validate(problem, path, _matrix(val[0], "val features"), other)
    best = min(held_out, key=lambda each: each.loss)  # the strongest of equally good ones
    # Along the path again, so that the start of the last fit is a good one.
    fitted = list(problem.fit(path[: path.index(best.strength) + 1], _FINAL_TOLERANCE))
    weight, bias = problem.basis.plain(*fitted[-1])
    if problem.num_classes == 2:
        weight, bias = two_rows(weight, bias)
    return LinearProbe(
        weight, bias, problem.num_classes is not None, best.strength, tuple(held_out)
    )


class _Problem:
    """Samples to fit a linear model to.

    Attributes:
        features: ``(N, C)``.
        targets: Classes ``(N,)``, or values ``(N, K)``.
        num_classes: The number of classes; None for values.
        basis: The features as they are fitted.
    """

    def __init__(self, features: Floats, targets: Array, num_classes: int | None) -> None:
        self.features = features
        self.targets = targets
        self.num_classes = num_classes
        self.basis = StandardBasis(features)

    def fit(self, path: Sequence[float], tolerance: float) -> Iterator[tuple[Floats, Floats]]:
        """Yield weight and bias in the basis for each strength of a path."""
        if self.num_classes is not None:
            yield from logistic_path(self.basis, self.targets, self.num_classes, path, tolerance)
            return
        samples = self.basis.coordinates
        bias = self.targets.mean(axis=0)
        products = (self.targets - bias).T @ samples / len(samples)
        for strength in path:  # the columns are orthogonal: each weight stands for itself
            yield products / (self.basis.variances + strength), bias

    def outputs_along(self, path: Sequence[float], features: Floats) -> Iterator[Floats]:
        """Yield the outputs for other features at each strength of a path."""
        held_out = self.basis.transform(features)
        for weight, bias in self.fit(path, _TRIAL_TOLERANCE):
            yield held_out @ weight.T + bias


def _cross_validate(
    problem: _Problem, path: list[float], folds: int, seed: int, groups: Sequence[int] | None
) -> list[StrengthScore]:
    targets = problem.targets
    classes = None if problem.num_classes is None else targets
    parts = make_folds(len(targets), folds, seed, classes, groups)
    outputs: list[list[Floats]] = [[] for _ in path]
    for part in parts:
        rest = np.ones(len(targets), dtype=bool)
        rest[part] = False
        fold = _Problem(problem.features[rest], targets[rest], problem.num_classes)
        for collected, out in zip(
            outputs, fold.outputs_along(path, problem.features[part]), strict=True
        ):
            collected.append(out)
    held_out = targets[np.concatenate(parts)]
    return [
        _score(strength, np.concatenate(collected), held_out, problem.num_classes)
        for strength, collected in zip(path, outputs, strict=True)
    ]


def _validate(
    problem: _Problem, path: list[float], features: Floats, labels: Array
) -> list[StrengthScore]:
    if features.shape[1] != problem.features.shape[1]:
        raise DataError(
            f"val features have {features.shape[1]} columns, features "
            f"{problem.features.shape[1]}; expected the same"
        )
    num_classes = problem.num_classes
    other = _problem(features, labels, "val labels", num_classes)
    if other.num_classes != num_classes or other.targets.shape[1:] != problem.targets.shape[1:]:
        raise LabelError("val labels are of another kind than labels; expected the same")
    return [
        _score(strength, out, other.targets, num_classes)
        for strength, out in zip(path, problem.outputs_along(path, features), strict=True)
    ]


def _score(
    strength: float, outputs: Floats, targets: Array, num_classes: int | None
) -> StrengthScore:
    if num_classes is None:
        squares = ((outputs - targets) ** 2).mean(axis=0)
        spread = targets.var(axis=0)
        score = float(1.0 - (squares / np.where(spread > 0.0, spread, 1.0)).mean())
        return StrengthScore(strength, float(squares.mean()), score)
    picked = (outputs[:, 0] > 0.0) if num_classes == 2 else outputs.argmax(axis=1)
    loss = float(cross_entropies(outputs, targets).mean())
    return StrengthScore(strength, loss, float((picked == targets).mean()))


def _problem(features: Floats, labels: Array, name: str, num_classes: int | None) -> _Problem:
    if len(labels) != len(features):
        raise DataError(
            f"features has {len(features)} rows and {name} {len(labels)} labels; expected one a row"
        )
    if labels.dtype.kind not in "iub":
        values = labels.astype(np.float64).reshape(len(labels), -1)
        if num_classes is not None:
            raise LabelError(
                f"{name} are {labels.dtype}; the classes that num_classes counts are whole numbers"
            )
        if not np.isfinite(values).all():
            sample = int(np.argwhere(~np.isfinite(values))[0][0])
            raise LabelError(f"{name}[{sample}] is {labels[sample]}; expected a finite number")
        return _Problem(features, values, None)
    if labels.ndim != 1:
        raise LabelError(
            f"{name} are whole numbers of shape {labels.shape[1:]} a sample; expected one class a "
            "sample. To predict several numbers, pass them as floats"
        )
    classes = labels.astype(np.int64)
    count = int(classes.max()) + 1 if num_classes is None else num_classes
    wrong = (classes < 0) | (classes >= count)
    if wrong.any():
        sample = int(np.flatnonzero(wrong)[0])
        raise LabelError(f"{name}[{sample}] is {classes[sample]}; classes are 0 to {count - 1}")
    if len(np.unique(classes)) < 2:
        raise LabelError(f"{name} are all {classes[0]}; expected two classes at least")
    return _Problem(features, classes, count)


def _matrix(features: Any, name: str) -> Floats:
    values = features.detach().numpy() if isinstance(features, Tensor) else np.asarray(features)
    if values.ndim != 2 or not values.size:
        raise DataError(
            f"{name} have the shape {values.shape}; expected (N, C), a row of numbers a sample. "
            "get_model_feature_extractor(model, layer) gives such"
        )
    matrix = values.astype(np.float64)
    if not np.isfinite(matrix).all():
        sample = int(np.argwhere(~np.isfinite(matrix))[0][0])
        raise DataError(f"{name}[{sample}] has a value that is not finite")
    return matrix
