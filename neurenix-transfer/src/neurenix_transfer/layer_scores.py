"""Which layer's features suit a task best, found out in one pass over the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from neurenix.autograd import no_grad
from neurenix.errors import require
from neurenix.nn import Module
from neurenix_transfer.batches import Batches
from neurenix_transfer.checking import DataError
from neurenix_transfer.chosen_layers import ChosenLayers
from neurenix_transfer.layer_names import LayerNames
from neurenix_transfer.linear_probe import STRENGTHS, fit_linear_probe
from neurenix_transfer.logme import logme
from neurenix_transfer.padding import padding_for
from neurenix_transfer.pooling import pooled, tokens_kept
from neurenix_transfer.progress import Progress
from neurenix_transfer.sources import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

By: TypeAlias = Literal["probe", "logme"]


@dataclass(frozen=True)
class LayerScore:
    """How well a layer's features suit the labels.

    Attributes:
        layer: The name of the layer.
        width: How many features it has, pooled.
        probe: The cross-validated accuracy of a linear probe on them (R² where labels are
            values).
        probe_loss: Its cross-validated loss: cross-entropy, or the squared error.
        logme: The log of the maximum evidence, a sample; see `neurenix_transfer.logme`.
    """

    layer: str
    width: int
    probe: float
    probe_loss: float
    logme: float


@dataclass(frozen=True)
class Transferability:
    """How well the features of each layer suit a task.

    Printed, it is a table, the best layer first.

    Attributes:
        scores: The score of each layer, in the order of the layers.
        is_classification: Whether the labels are classes; else they are values.
        samples: How many samples there were.
    """

    scores: tuple[LayerScore, ...]
    is_classification: bool
    samples: int

    def ranking(self, by: By = "probe") -> list[LayerScore]:
        """Return the scores, the best layer first.

        Args:
            by: ``"probe"``: by the probe's accuracy, where that is equal by its loss; or
                ``"logme"``.
        """
        if by not in ("probe", "logme"):
            raise ValueError(f'by is "probe" or "logme", not {by!r}')

        def goodness(score: LayerScore) -> tuple[float, float]:
            if by == "logme":
                return score.logme, 0.0
            return score.probe, -score.probe_loss

        return sorted(self.scores, key=goodness, reverse=True)

    @property
    def best(self) -> str:
        """The name of the layer that is best by its probe."""
        return self.ranking()[0].layer

    def __str__(self) -> str:
        metric = "accuracy" if self.is_classification else "R²"
        rows = [("layer", "features", metric, "loss", "LogME")]
        rows += [
            (s.layer, str(s.width), f"{s.probe:.4f}", f"{s.probe_loss:.4f}", f"{s.logme:.4f}")
            for s in self.ranking()
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        ]
        lines.insert(1, "-" * len(lines[0]))
        return "\n".join(lines)

    def plot(self, save: str | Path | None = None) -> Figure:
        """Draw both scores of the layers, in the order of the layers.

        Args:
            save: A file to write the figure to; its extension says the format.

        Raises:
            MissingDependencyError: Matplotlib is not installed.
        """
        figures = require(
            "matplotlib.figure", install="pip install matplotlib", purpose="drawing scores"
        )
        width = max(5.0, 0.55 * len(self.scores) + 1.5)
        figure: Figure = figures.Figure(figsize=(width, 4.5), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True)
        places = range(len(self.scores))
        best = self.best
        colours = ["tab:orange" if each.layer == best else "tab:blue" for each in self.scores]
        upper.bar(places, [each.probe for each in self.scores], color=colours)
        metric = "accuracy" if self.is_classification else "R²"
        upper.set_ylabel(f"probe's {metric}")
        upper.set_title(f"{self.samples} samples; the best probe is on {best}")
        lower.plot(places, [each.logme for each in self.scores], marker="o")
        lower.set_ylabel("LogME")
        lower.set_xticks(places, [each.layer for each in self.scores], rotation=45, ha="right")
        if save is not None:
            file = Path(save)
            file.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(file)
        return figure


def transferability(
    model: Module,
    data: Any,
    labels: Any = None,
    layers: LayerNames | None = None,
    *,
    batch_size: int = 32,
    folds: int = 5,
    strengths: Sequence[float] = STRENGTHS,
    seed: int = 0,
    verbose: int = 1,
) -> Transferability:
    """Score the layers of a model by how well their features tell the labels.

    The data are read once, and the model runs over them once, in eval mode and without the tape,
    up to the deepest layer; of each layer the pooled features are kept. A layer gets two scores:
    the cross-validated accuracy of a linear probe (see `fit_linear_probe`), which is what one
    wants to know, and LogME, which needs no cross-validation and agrees with it closely.

    To choose between bases, score each on the same data and compare their best layers.

    Args:
        model: The model. On a `TransferModel` bare names mean layers of the base.
        data: A tensor or an array of all samples, a list of them, a Dataset, a DataLoader, or
            anything that gives batches.
        labels: One label a sample, where the data do not bring their own: whole numbers are
            classes, floats are values.
        layers: Which layers, named as for `freeze_layers`; None takes the model's blocks and the
            ends of its other stages, without the classifier.
        batch_size: Samples a batch; a DataLoader has its own.
        folds: The number of folds that a probe is cross-validated in.
        strengths: The strengths of the L2 penalty that a probe chooses from.
        seed: What the division into folds depends on.
        verbose: 0 prints nothing; 1 prints what is scored, and draws a bar on a terminal.

    Raises:
        DataError: The data do not fit together, or have no labels.
        UnknownLayerError: A name matches no layer.
        LayerNotRunError: A layer did not run.

    Reference:
        You, Liu, Wang and Long, "LogME: Practical Assessment of Pre-trained Models for Transfer
        Learning", 2021.
    """
    progress = Progress(verbose, 1)
    batches = Batches(data, labels, batch_size, padding_for(model))
    features, targets = _read(model, batches, layers, progress)
    scores = []
    for name, matrix in features.items():
        try:
            probe = fit_linear_probe(matrix, targets, strengths=strengths, folds=folds, seed=seed)
        except ValueError as error:
            error.add_note(f"raised for the features of the layer {name!r}")
            raise
        evidence = logme(matrix, targets)
        scores.append(LayerScore(name, matrix.shape[1], probe.score, probe.loss, evidence))
    return Transferability(tuple(scores), targets.dtype.kind in "iub", len(targets))


def _read(
    model: Module, batches: Batches, layers: LayerNames | None, progress: Progress
) -> tuple[dict[str, Array], Array]:
    """Return the pooled features of each layer, and the labels."""
    chosen: ChosenLayers | None = None
    features: dict[str, list[Array]] = {}
    targets: list[Array] = []
    progress.epoch_begin()
    for number, (inputs, labels) in enumerate(batches, 1):
        if labels is None:
            raise DataError("data came without labels; expected one label a sample")
        if chosen is None:
            chosen = ChosenLayers(model, layers, inputs)
            features = {name: [] for name in chosen.modules}
            progress.say(f"Scoring {len(features)} layers of {type(chosen.base).__name__}")
        kept = tokens_kept(chosen.base, chosen.placed(inputs))
        with no_grad():
            for name, out in chosen.outputs(inputs).items():
                features[name].append(pooled(out, kept).numpy())
        targets.append(labels.numpy())
        progress.step("Reading", number, batches.count)
    if not targets:
        raise DataError("data gives no batch; expected at least one")
    progress.done()
    return {name: np.concatenate(rows) for name, rows in features.items()}, np.concatenate(targets)
