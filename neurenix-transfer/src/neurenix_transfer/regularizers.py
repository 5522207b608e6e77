"""Penalties on weights: what is added to the loss of a step beside the error on the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import neurenix
from neurenix import Device, Tensor
from neurenix.nn import Module
from neurenix_transfer.layer_names import LayerNames, select_layers
from neurenix_transfer.transfer_model import TransferModel


class Regularizer:
    """A penalty on a model's weights.

    It enters the gradients of every training step. The losses in the history are those of the data
    alone, so that training and validation stay comparable.
    """

    def penalty(self, model: Module) -> Tensor:
        """Return the penalty, a scalar that gradients flow back from."""
        raise NotImplementedError(f"{type(self).__name__} does not define penalty()")

    def on_train_begin(self, model: Module) -> None:
        """Act before the first step of a run."""

    def describe(self) -> str:
        """Return what it is called, with its numbers, for the printed line."""
        return type(self).__name__

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs: tensors, numbers, strings, lists and dicts of them."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state, after `on_train_begin`."""


RegularizerLike: TypeAlias = Regularizer | Callable[[Module], Tensor]


class L2SP(Regularizer):
    """L2-SP: pretrained weights are drawn to where they started, and new ones to zero.

    ``alpha / 2 * |w - w0|^2`` over the pretrained weights, plus ``beta / 2 * |w|^2`` over the new
    ones. Only what is trained counts; the start of a layer that is unfrozen during the training is
    what it was then. Leave the optimizer's own weight decay at 0.

    Args:
        alpha: The pull to the start.
        beta: The pull to zero.
        pretrained: Which layers are pretrained, named as for `freeze_layers`; by default the base
            of a `TransferModel`, and all of any other model.

    Reference:
        Li, Grandvalet and Davoine, "Explicit Inductive Bias for Transfer Learning with
        Convolutional Networks", 2018.
    """

    def __init__(
        self, alpha: float = 0.1, beta: float = 0.01, *, pretrained: LayerNames | None = None
    ) -> None:
        for name, value in (("alpha", alpha), ("beta", beta)):
            if not value >= 0:
                raise ValueError(f"L2SP: {name} is at least 0; got {value!r}")
        self.alpha = float(alpha)
        self.beta = float(beta)
        self.pretrained = pretrained
        self._names: set[str] = set()
        self._start: dict[str, Tensor] = {}
        self._devices: dict[str, Device] = {}

    def on_train_begin(self, model: Module) -> None:
        """Find the pretrained weights; their values are noted at their first step."""
        self._start = {}
        self._devices = {name: param.device for name, param in model.named_parameters()}
        if self.pretrained is not None:
            self._names = set(select_layers(model, self.pretrained).parameters)
        else:
            start = "base_model." if isinstance(model, TransferModel) else ""
            self._names = {name for name, _ in model.named_parameters() if name.startswith(start)}

    def penalty(self, model: Module) -> Tensor:
        """Return the penalty."""
        terms: list[Tensor] = []
        for name, param in model.named_parameters():
            if not param.requires_grad:
                continue
            if name not in self._names:
                terms.append((param * param).sum() * (self.beta / 2))
                continue
            start = self._start.get(name)
            if start is None:
                start = self._start[name] = param.detach().clone()
            moved = param - start.to(param.device)
            terms.append((moved * moved).sum() * (self.alpha / 2))
        return neurenix.stack(terms).sum()

    def describe(self) -> str:
        """Return the name and both pulls."""
        return f"L2-SP (alpha {self.alpha:g}, beta {self.beta:g})"

    def state_dict(self) -> dict[str, Any]:
        """Return where the pretrained weights started."""
        return {"start": dict(self._start)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over where they started: the model's weights have moved since."""
        # A checkpoint is read onto the CPU, and a step that is a plan stays on one device.
        self._start = {
            name: start.to(self._devices.get(name, start.device))
            for name, start in state["start"].items()
        }


class _FromFunction(Regularizer):
    """A function of the model, as a regularizer."""

    def __init__(self, function: Callable[[Module], Tensor]) -> None:
        self._function = function

    def penalty(self, model: Module) -> Tensor:
        return self._function(model)

    def describe(self) -> str:
        return getattr(self._function, "__name__", type(self._function).__name__)


def as_regularizer(given: RegularizerLike | None) -> Regularizer | None:
    """Return a regularizer as it is, and a function ``model -> penalty`` as one.

    Raises:
        TypeError: It is neither.
    """
    if given is None or isinstance(given, Regularizer):
        return given
    if isinstance(given, type) or not callable(given):
        raise TypeError(
            f"regularizer is a Regularizer such as L2SP(), or a function (model) -> penalty; "
            f"not {given!r}"
        )
    return _FromFunction(given)
