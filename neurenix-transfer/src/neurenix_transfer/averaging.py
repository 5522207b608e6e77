"""An exponential moving average of the weights.

After step t, with decay d, the average is ``a = sum_i (1 - d) d^(t - i) w_i / (1 - d^t)``: the
weights of all steps, the newest counting most, and the initial ones not at all. It is computed as
``a = a + (1 - d) / (1 - d^t) * (w - a)``, which corrects the bias of the start by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix.dtypes import is_floating
from neurenix.nn import Module
from neurenix_transfer.numbers import check_share


class WeightAverage:
    """Averages what a training changes of a model: trainable parameters and floating buffers.

    Buffers such as the running means of BatchNorm are averaged alike, so that they fit the
    averaged weights. What is frozen has no average; a parameter that is unfrozen later begins with
    its first step, and one that is frozen keeps the weights it has.

    Args:
        model: The model.
        decay: How much of the average is kept in a step, from 0 to below 1; the average spans
            about ``1 / (1 - decay)`` steps.

    Raises:
        ValueError: The decay is out of its range.
    """

    def __init__(self, model: Module, decay: float) -> None:
        check_share("ema", decay)
        self.decay = float(decay)
        self._model = model
        self._averaged: dict[str, Tensor] = {}
        self._averages: dict[str, Tensor] = {}
        self._steps: dict[str, int] = {}

    def begin_epoch(self) -> None:
        """Find what the steps of an epoch may change, the model being in train mode."""
        self._averaged = self._changing()
        for name in [name for name in self._averages if name not in self._averaged]:
            del self._averages[name], self._steps[name]

    def after_step(self) -> None:
        """Take in the weights of a step."""
        with no_grad():
            for name, tensor in self._averaged.items():
                value = tensor.detach()
                count = self._steps[name] = self._steps.get(name, 0) + 1
                if count == 1:
                    self._averages[name] = value.clone()
                    continue
                average = self._averages[name].to(value.device)
                weight = (1.0 - self.decay) / (1.0 - self.decay**count)
                # As a difference: of what stands still the average is exact.
                self._averages[name] = average + (value - average) * weight

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average into the model for a block, then the weights of the last step back."""
        tensors = self._tensors()
        kept = {name: tensors[name].detach().clone() for name in self._averages}
        try:
            self.put()
            yield
        finally:
            with no_grad():
                for name, value in kept.items():
                    tensors[name].copy_(value)

    def put(self) -> None:
        """Put the average into the model, to stay."""
        tensors = self._tensors()
        with no_grad():
            for name, average in self._averages.items():
                tensors[name].copy_(average)

    def state_dict(self) -> dict[str, Any]:
        """Return the averages, and how many steps each has seen."""
        return {"averages": dict(self._averages), "steps": dict(self._steps)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        tensors = self._tensors()
        self._averages = {
            name: average.to(tensors[name].device) for name, average in state["averages"].items()
        }
        self._steps = dict(state["steps"])

    def _changing(self) -> dict[str, Tensor]:
        """Return what a step may change."""
        changing: dict[str, Tensor] = {
            name: param for name, param in self._model.named_parameters() if param.requires_grad
        }
        for path, module in self._model.named_modules():
            if module.keeps_batch_statistics and module.training:
                buffers = module.named_buffers(path, recurse=False)
                changing |= {name: each for name, each in buffers if is_floating(each.dtype)}
        return changing

    def _tensors(self) -> dict[str, Tensor]:
        return {**dict(self._model.named_parameters()), **dict(self._model.named_buffers())}
