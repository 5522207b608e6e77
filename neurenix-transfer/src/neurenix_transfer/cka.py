"""How alike all layers of two models are: a map of CKA over minibatches."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix import Tensor
from neurenix.errors import require
from neurenix.nn import Module
from neurenix_transfer.batches import Batches
from neurenix_transfer.checking import DataError
from neurenix_transfer.chosen_layers import ChosenLayers
from neurenix_transfer.hsic import FEWEST, gram, unbiased_hsic
from neurenix_transfer.layer_names import LayerNames
from neurenix_transfer.progress import Progress
from neurenix_transfer.sources import Array, Inputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LABELLED = 14  # layers of a model up to which each cell has its number written in it


@dataclass(frozen=True)
class CkaMap:
    """How alike the layers of two models are.

    Attributes:
        values: The similarities, from 0 to 1: a row a layer of the first model, a column a layer
            of the second.
        layers1: The layers of the first model.
        layers2: The layers of the second.
        samples: How many samples they were compared on.
    """

    values: Array = field(repr=False)
    layers1: tuple[str, ...]
    layers2: tuple[str, ...]
    samples: int

    def __getitem__(self, pair: tuple[str, str]) -> float:
        """Return the similarity of a layer of the first and a layer of the second model."""
        first, second = pair
        return float(self.values[self.layers1.index(first), self.layers2.index(second)])

    def plot(self, save: str | Path | None = None) -> Figure:
        """Draw the map: the first model's layers from bottom to top, the second's to the right.

        Args:
            save: A file to write the figure to; its extension says the format.

        Raises:
            MissingDependencyError: Matplotlib is not installed.
        """
        figures = require(
            "matplotlib.figure", install="pip install matplotlib", purpose="drawing a heat map"
        )
        rows, columns = self.values.shape
        size = 2.6 + 0.45 * columns, 1.8 + 0.45 * rows
        figure: Figure = figures.Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(self.values, origin="lower", cmap="viridis", vmin=0.0, vmax=1.0)
        axes.set_xticks(range(columns), self.layers2, rotation=45, ha="right")
        axes.set_yticks(range(rows), self.layers1)
        axes.set_xlabel("second model")
        axes.set_ylabel("first model")
        axes.set_title(f"CKA over {self.samples} samples")
        figure.colorbar(image)
        if max(rows, columns) <= _LABELLED:
            for (row, column), value in np.ndenumerate(self.values):
                colour = "black" if value > 0.6 else "white"
                axes.text(
                    column, row, f"{value:.2f}", ha="center", va="center", color=colour, size=7
                )
        if save is not None:
            file = Path(save)
            file.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(file)
        return figure


def cka_map(
    model1: Module,
    model2: Module,
    data: Any,
    layers1: LayerNames | None = None,
    layers2: LayerNames | None = None,
    *,
    batch_size: int = 32,
    verbose: int = 1,
) -> CkaMap:
    """Compare all layers of two models by what they give for the same inputs.

    The measure is the linear CKA of `compare_model_features`. Its three HSICs are estimated
    without bias on each batch, and averaged over the batches before they are divided: so the
    data may be of any number, and the result does not depend on the batches' size but for noise.

        CKA = mean HSIC(K, L) / sqrt(mean HSIC(K, K) * mean HSIC(L, L)),  clamped at 0

    Each model runs once over the data, in eval mode and without the tape.

    Args:
        model1: The first model.
        model2: The second. Where it is the first one, its layers are compared with each other.
        data: A tensor or an array of all samples, a list of them, a Dataset, a DataLoader, or
            anything that gives batches; labels are passed over.
        layers1: Layers of the first model, named as for `freeze_layers`; None takes its blocks,
            as `transferability` does.
        layers2: Layers of the second, likewise.
        batch_size: Samples a batch, at least 4; a DataLoader has its own. A last batch of fewer
            than 4 samples is left out.
        verbose: 0 prints nothing; 1 draws a bar on a terminal.

    Raises:
        DataError: There are fewer than 4 samples a batch.
        UnknownLayerError: A name matches no layer.
        LayerNotRunError: A layer did not run.

    Reference:
        Nguyen, Raghu and Kornblith, "Do Wide and Deep Networks Learn the Same Things?", 2021.
    """
    progress = Progress(verbose, 1)
    batches = Batches(data, None, batch_size)
    sides: list[ChosenLayers] = []
    total = own1 = own2 = np.zeros(0)
    samples = 0
    progress.epoch_begin()
    for number, (inputs, _) in enumerate(batches, 1):
        if not sides:
            sides = [
                ChosenLayers(model1, layers1, inputs),
                ChosenLayers(model2, layers2, inputs),
            ]
            sizes = [len(side.modules) for side in sides]
            total, own1, own2 = np.zeros(sizes), np.zeros(sizes[0]), np.zeros(sizes[1])
        count = _count(inputs)
        if count < FEWEST:
            continue
        grams1 = _grams(sides[0], inputs)
        grams2 = grams1 if _are_alike(sides) else _grams(sides[1], inputs)
        # Weighted by its samples: a small last batch, whose estimate is noisy, counts for less.
        total += count * np.array([[unbiased_hsic(k, m) for m in grams2] for k in grams1])
        own1 += count * np.array([unbiased_hsic(k, k) for k in grams1])
        own2 += count * np.array([unbiased_hsic(m, m) for m in grams2])
        samples += count
        progress.step("Comparing", number, batches.count)
    progress.done()
    if not samples:
        raise DataError(
            f"CKA needs batches of at least {FEWEST} samples, and data gives none; pass more "
            "samples, or a larger batch_size"
        )
    scale = np.sqrt(np.outer(np.maximum(own1, 0.0), np.maximum(own2, 0.0)))
    # A layer that gives the same for all samples is like nothing.
    values = np.where(scale > 0.0, total / np.where(scale > 0.0, scale, 1.0), 0.0)
    names = [tuple(side.modules) for side in sides]
    return CkaMap(np.clip(values, 0.0, 1.0), names[0], names[1], samples)


def _grams(side: ChosenLayers, inputs: Inputs) -> list[Array]:
    """Return the Gram matrix of each layer for a batch."""
    return [gram(_flat(name, out)) for name, out in side.outputs(inputs).items()]


def _are_alike(sides: list[ChosenLayers]) -> bool:
    """Whether both sides are the same model with the same layers, which then runs once."""
    first, second = sides
    return first.model is second.model and first.modules == second.modules


def _count(inputs: Inputs) -> int:
    while not isinstance(inputs, Tensor):
        inputs = next(iter(inputs.values() if isinstance(inputs, dict) else inputs))
    return inputs.shape[0]


def _flat(name: str, out: Any) -> Array:
    if not isinstance(out, Tensor) or out.ndim < 2:
        raise TypeError(f"the layer {name!r} gives no features: expected a tensor (N, ...)")
    return out.numpy().astype(np.float64).reshape(out.shape[0], -1)
