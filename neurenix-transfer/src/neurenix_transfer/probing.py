"""What a model gives for one sample, found out before training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix.nn import Module
from neurenix.nn.mode import evaluating
from neurenix_transfer.joining import TERMINAL_ACTIVATIONS
from neurenix_transfer.sources import Inputs, map_tensors


@dataclass(frozen=True)
class Probe:
    """What was found out.

    Attributes:
        output_shape: The shape of one sample's output, without the batch axis.
        terminal: The Softmax, LogSoftmax or Sigmoid whose output is the model's, if any.
    """

    output_shape: tuple[int, ...]
    terminal: Module | None


def probe(model: Module, inputs: Inputs) -> Probe:
    """Run a model once, in eval mode and without the tape.

    Raises:
        TypeError: The model's output is no tensor.
    """
    outputs: list[tuple[Module, Any]] = []

    def remember(module: Module, args: tuple[Any, ...], out: Any) -> None:
        outputs.append((module, out))

    handles = [
        each.register_forward_hook(remember)
        for each in model.modules()
        if isinstance(each, TERMINAL_ACTIVATIONS)
    ]
    try:
        with evaluating(model), no_grad():
            out = model(inputs)
    except Exception as error:
        shapes: list[tuple[int, ...]] = []
        map_tensors(lambda tensor: shapes.append(tuple(tensor.shape)), inputs)
        error.add_note(f"raised by the model on the first training sample, as a batch of {shapes}")
        raise
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(out, Tensor):
        raise TypeError(
            f"{type(model).__name__} gives a {type(out).__name__}; fine_tune needs a model whose "
            "output is one tensor. Wrap it in a Module that returns the tensor to train on"
        )
    terminal = next((module for module, given in outputs if given is out), None)
    return Probe(tuple(out.shape[1:]), terminal)
