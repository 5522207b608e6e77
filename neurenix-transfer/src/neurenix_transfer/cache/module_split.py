"""A model in two halves where no graph of it can be had: a frozen base, and the new layers."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np

import neurenix
from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix.nn import Module
from neurenix_transfer.cache.batches import Rest
from neurenix_transfer.cache.frozen import Features, described, is_close, join_inputs, leaves_of
from neurenix_transfer.cache.signature import Fingerprint
from neurenix_transfer.cache.tracing import UntraceableError, state_key
from neurenix_transfer.sources import Inputs
from neurenix_transfer.transfer_model import TransferModel


class ModuleSplit:
    """A `TransferModel` whose whole base is frozen, run module by module.

    Args:
        model: The model.
        first: A sample's inputs, as a batch of one.
        second: Another's, of the same shapes.

    Attributes:
        key: Equal for states of the model that give equal splits.
        weights: The fingerprint of the base's weights.

    Raises:
        UntraceableError: The base is not frozen as a whole, or has hooks, or gives something else
            than a tensor, or not the same twice, or what depends on the samples beside it.
    """

    def __init__(self, model: Module, first: Inputs, second: Inputs) -> None:
        self.key = state_key(model)
        if not (isinstance(model, TransferModel) and _is_constant(model)):
            raise UntraceableError("the base is not frozen as a whole")
        if any(each._forward_hooks or each._forward_pre_hooks for each in model.modules()):
            raise UntraceableError("it has forward hooks, which see every batch")
        self.model = model
        base = model.get_base_model()
        self.weights = Fingerprint([*base.parameters(), *base.buffers()])
        # Code is not known by its graph here: what this object gives is its own alone.
        self._digest = secrets.token_hex(16)
        alone = self.run_frozen([first, second])
        again = self.run_frozen([first, second])
        if any(
            a.parts[0].tobytes() != b.parts[0].tobytes() for a, b in zip(alone, again, strict=True)
        ):
            raise UntraceableError("the base gives something else each time")
        self._shape = alone[0].parts[0].shape
        with no_grad():
            together = model.forward_base(join_inputs([first, second])).numpy()
        if not is_close(np.concatenate([each.parts[0] for each in alone]), together):
            raise UntraceableError("a sample's features depend on the samples beside it")

    def run_frozen(self, samples: Sequence[Inputs]) -> list[Features]:
        """Return the features of samples, each a batch of one."""
        found = []
        for sample in samples:
            with no_grad():
                out = self.model.forward_base(sample)
            if not isinstance(out, Tensor) or out.shape[:1] != (1,):
                raise UntraceableError("the base gives something else than a tensor of samples")
            parts = (out.numpy().copy(),)
            found.append(Features(parts, described(leaves_of(sample)), self._digest))
        return found

    def run_rest(self, features: Sequence[Features]) -> Any:
        """Return the model's output for a batch, from the features of its samples."""
        rest = self.rest(features)
        return rest.forward(rest.inputs)

    def rest(self, features: Sequence[Features]) -> Rest:
        """Return what is left to compute of a batch, from the features of its samples."""
        device = next(self.model.parameters()).device
        parts = [Tensor(each.parts[0], device=device) for each in features]
        if len({part.shape for part in parts}) > 1:
            raise UntraceableError("the base gives features of several shapes")
        joined = neurenix.concat(parts, axis=0)
        return Rest(self.model.get_new_layers(), joined, parts[0].shape == self._shape)

    def matches(self, features: Features) -> bool:
        """Whether features are those of this object."""
        return features.graph == self._digest


def _is_constant(model: TransferModel) -> bool:
    """Whether the base gives the same for the same input, and is run by the model's own forward."""
    if type(model).forward is not TransferModel.forward:
        return False
    return model.base_is_frozen and not any(
        module.training for module in model.get_base_model().modules()
    )
