"""The outputs of layers inside a model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix.nn import Module, Sequential
from neurenix.nn.hooks import HookHandle
from neurenix.nn.mode import evaluating, parents
from neurenix_transfer.layer_names import find_layer
from neurenix_transfer.sources import map_tensors, placed


class LayerNotRunError(RuntimeError):
    """A layer that exists, but that the model's forward did not run."""


def get_layer_outputs(
    model: Module, input_tensor: Any, layer_names: str | Iterable[str]
) -> dict[str, Any]:
    """Return what layers of a model give for an input.

    The model runs once, in eval mode and without the tape, and only up to the deepest layer that
    is asked for; its modes are put back. A layer without weights that its block uses several
    times, such as one ReLU for all, gives its last output in the block.

    Args:
        model: The model. On a `TransferModel` bare names mean layers of the base.
        input_tensor: A batch of what the model takes.
        layer_names: The names of the layers.

    Returns:
        The outputs by name, in the order of the names: copies, which nothing changes later.

    Raises:
        UnknownLayerError: A name matches no layer.
        LayerNotRunError: A layer did not run.

    Examples:
        >>> import neurenix
        >>> from neurenix import nn
        >>> from neurenix.transfer.utils import get_layer_outputs
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> outputs = get_layer_outputs(model, neurenix.ones((1, 4)), ["0", "1"])
        >>> {name: out.shape for name, out in outputs.items()}
        {'0': (1, 8), '1': (1, 8)}
    """
    names = [layer_names] if isinstance(layer_names, str) else list(layer_names)
    layers = {name: find_layer(model, name)[1] for name in names}
    has_params = next(model.parameters(), None) is not None
    inputs = placed(model, input_tensor) if has_params else input_tensor
    with evaluating(model), no_grad():
        outputs = run_up_to(model, list(layers.values()), inputs, copy=True)
    missing = [name for name, layer in layers.items() if id(layer) not in outputs]
    if missing:
        raise LayerNotRunError(
            f"{', '.join(map(repr, missing))}: the forward of this {type(model).__name__} does "
            "not run this layer, or reads its weights without calling it; name one that it calls"
        )
    return {name: outputs[id(layer)] for name, layer in layers.items()}


class _Reached(BaseException):
    """Leaves a model's forward once nothing more is wanted. No handler of the model's sees it."""

    def __init__(self, run: _Run) -> None:
        self.run = run


class _Run:
    """One forward that keeps the outputs of some layers, and ends when it has them for good."""

    def __init__(self, model: Module, layers: list[Module], copy: bool) -> None:
        self.copy = copy
        self.outputs: dict[int, Any] = {}
        self.handles: list[HookHandle] = []
        self._open = {id(layer) for layer in layers}  # not had yet, or not for good
        for layer in {id(layer): layer for layer in layers}.values():
            block = _block_that_may_run_it_again(layer, model)
            settles = layer if block is None else block
            self.handles.append(layer.register_forward_hook(self._keep(layer, settles is layer)))
            if settles is not layer:
                self.handles.append(settles.register_forward_hook(self._settle(layer)))

    def _keep(self, layer: Module, settled: bool) -> Any:
        def hook(module: Module, args: tuple[Any, ...], out: Any) -> None:
            self.outputs[id(layer)] = map_tensors(_copied, out) if self.copy else out
            if settled:
                self._close(layer)

        return hook

    def _settle(self, layer: Module) -> Any:
        def hook(module: Module, args: tuple[Any, ...], out: Any) -> None:
            if id(layer) in self.outputs:
                self._close(layer)

        return hook

    def _close(self, layer: Module) -> None:
        self._open.discard(id(layer))
        if not self._open:
            raise _Reached(self)


def run_up_to(model: Module, layers: list[Module], inputs: Any, *, copy: bool) -> dict[int, Any]:
    """Run a model until the last of some layers has given its output.

    Args:
        model: The model; it runs in the modes that it is in.
        layers: The layers.
        inputs: What the model takes.
        copy: Whether outputs are copied, so that what runs later cannot change them.

    Returns:
        The outputs by the ``id`` of the layer; layers that did not run are missing.
    """
    run = _Run(model, layers, copy)
    try:
        if layers:
            model(inputs)
    except _Reached as reached:
        if reached.run is not run:
            raise
    finally:
        for handle in run.handles:
            handle.remove()
    return run.outputs


def _block_that_may_run_it_again(layer: Module, model: Module) -> Module | None:
    """Return the block after whose forward a layer's output is final; None: the layer's own.

    A layer without weights, such as a ReLU, may be used by its block again and again. A Sequential
    runs each of its layers once.
    """
    if layer is model or next(layer.parameters(), None) is not None:
        return None
    inside = {id(module) for module in model.modules()}
    blocks = [parent for parent in parents(layer) if id(parent) in inside]
    if len(blocks) == 1 and type(blocks[0]) is Sequential:
        return None
    return blocks[0] if len(blocks) == 1 else model


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value
