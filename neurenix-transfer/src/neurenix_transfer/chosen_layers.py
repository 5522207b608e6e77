"""Layers of a model that are looked at over many batches."""

from __future__ import annotations

from typing import Any

from neurenix.autograd import no_grad
from neurenix.nn import Module
from neurenix.nn.mode import evaluating
from neurenix_transfer.adapters.portable_names import portable_name
from neurenix_transfer.blocks import meaningful_layers
from neurenix_transfer.layer_names import (
    LayerNames,
    UnknownLayerError,
    scopes_of,
    select_layers,
)
from neurenix_transfer.layer_outputs import LayerNotRunError, run_up_to
from neurenix_transfer.sources import Inputs, map_tensors, placed


class ChosenLayers:
    """Some layers of a model, and what they give.

    Args:
        model: The model. On a `TransferModel` bare names mean layers of the base.
        layers: Which layers, named as for `freeze_layers`; None takes the model's blocks, for
            which it runs once.
        inputs: A batch of what the model takes.

    Attributes:
        model: The model.
        base: The base of a `TransferModel`, or the model itself.
        modules: The layers, by their names in the base, or else in the model.

    Raises:
        UnknownLayerError: A name matches no layer, or the model has no blocks.
    """

    def __init__(self, model: Module, layers: LayerNames | None, inputs: Inputs) -> None:
        self.model = model
        self.base = scopes_of(model)[0].module
        self.modules: dict[str, Module]
        if layers is None:
            one = map_tensors(lambda tensor: tensor[:1], self.placed(inputs))
            names = meaningful_layers(model, one)
            self.modules = {name: self.base.get_submodule(name) for name in names}
        else:
            found = select_layers(model, layers).modules
            self.modules = {portable_name(model, path): each for path, each in found.items()}
        if not self.modules:
            what = "no block that could be told from a classifier" if layers is None else "no layer"
            raise UnknownLayerError(
                f"{type(model).__name__} has {what} to look at; pass names of modules that give "
                "features"
            )

    def outputs(self, inputs: Inputs) -> dict[str, Any]:
        """Return what each layer gives for a batch, in eval mode and without the tape.

        Raises:
            LayerNotRunError: A layer did not run.
        """
        with evaluating(self.model), no_grad():
            found = run_up_to(
                self.model, list(self.modules.values()), self.placed(inputs), copy=True
            )
        missing = [name for name, module in self.modules.items() if id(module) not in found]
        if missing:
            raise LayerNotRunError(
                f"{', '.join(map(repr, missing))}: the forward of this "
                f"{type(self.model).__name__} does not run this layer; name one that it calls"
            )
        return {name: found[id(module)] for name, module in self.modules.items()}

    def placed(self, inputs: Inputs) -> Inputs:
        """Move a batch to where the model is."""
        has_params = next(self.model.parameters(), None) is not None
        return placed(self.model, inputs) if has_params else inputs
