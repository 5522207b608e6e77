"""Pictures of what a layer gives."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurenix import Tensor
from neurenix.errors import require
from neurenix.nn import Module
from neurenix_transfer.layer_outputs import get_layer_outputs
from neurenix_transfer.sources import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TILE_INCHES = 1.1


def visualize_layer_activations(
    model: Module,
    input_tensor: Any,
    layer_name: str,
    *,
    sample: int = 0,
    max_channels: int = 64,
    save: str | Path | None = None,
) -> Figure:
    """Draw what a layer gives for a sample, channel by channel.

    A feature map becomes a grid of its channels, tokens one picture of tokens by features, a
    vector a bar chart. No window opens and nothing waits: a notebook shows the figure that is
    returned, ``save`` writes it to a file.

    Args:
        model: The model.
        input_tensor: A batch of what the model takes.
        layer_name: The name of the layer.
        sample: Which sample of the batch is drawn.
        max_channels: How many channels of a feature map are drawn at most; the title says how
            many there are.
        save: A file to write the figure to; its extension says the format. Folders are made.

    Returns:
        A ``matplotlib.figure.Figure``.

    Raises:
        UnknownLayerError: The name matches no layer, or several.
        MissingDependencyError: Matplotlib is not installed.
        IndexError: There is no such sample.
    """
    figures = require(
        "matplotlib.figure", install="pip install matplotlib", purpose="drawing activations"
    )
    if max_channels < 1:
        raise ValueError(f"max_channels is at least 1, not {max_channels}")
    out = get_layer_outputs(model, input_tensor, [layer_name])[layer_name]
    if not isinstance(out, Tensor):
        raise TypeError(f"the layer {layer_name!r} gives a {type(out).__name__}, not a tensor")
    values = out.numpy().astype(np.float32)
    if not -len(values) <= sample < len(values):
        raise IndexError(f"sample {sample} of a batch of {len(values)}")
    values = values[sample]
    # Figure itself, not pyplot: it belongs to no window and is freed with its last reference.
    if values.ndim == 3:
        figure: Figure = _grid(figures, values, layer_name, max_channels)
    else:
        figure = figures.Figure(figsize=(8, 3), layout="constrained")
        axes = figure.subplots()
        axes.set_title(f"{layer_name}: {' x '.join(map(str, values.shape))}")
        if values.ndim == 2:
            figure.colorbar(axes.imshow(values, aspect="auto", cmap="viridis"))
            axes.set_xlabel("feature")
            axes.set_ylabel("token")
        else:
            flat = values.reshape(-1)
            axes.bar(np.arange(flat.size), flat, width=1.0)
            axes.set_xlabel("feature")
    if save is not None:
        file = Path(save)
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file)
    return figure


def _grid(figures: Any, maps: Array, layer_name: str, max_channels: int) -> Figure:
    channels, height, width = maps.shape
    shown = min(channels, max_channels)
    columns = math.ceil(math.sqrt(shown))
    rows = math.ceil(shown / columns)
    figure: Figure = figures.Figure(
        figsize=(columns * _TILE_INCHES, rows * _TILE_INCHES + 0.6), layout="constrained"
    )
    tiles = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for channel, axes in enumerate(tiles):
        axes.set_axis_off()
        if channel < shown:
            axes.imshow(maps[channel], cmap="viridis")
    count = f"{channels} channels" if shown == channels else f"{shown} of {channels} channels"
    figure.suptitle(f"{layer_name}: {count} of {height} x {width}")
    return figure
