"""A training step: forward, backward and update of one batch, as a function of its tensors.

So written, `neurenix.compile` can run the whole of it as a plan: nothing in it asks for a value,
and whatever changes from step to step comes in as a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import neurenix
from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix.dtypes import is_floating
from neurenix.nn import Module
from neurenix.optim import Optimizer
from neurenix_transfer.gradient_limits import GradientLimit
from neurenix_transfer.losses import Loss, LossFunction, align

Score: TypeAlias = Callable[[Tensor, Tensor], Tensor]
Forward: TypeAlias = Callable[[Any], Any]


class Parameters:
    """The parameters of a model, found once an epoch."""

    __slots__ = ("_tensors",)  # out of sight of `neurenix.compile`, which watches those it reads

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []

    def find(self, model: Module) -> None:
        """Take those that the model has now."""
        self._tensors = list(model.parameters())

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for tensor in self._tensors:
            tensor.grad = None

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._tensors)


@dataclass(frozen=True)
class Stepped:
    """What a step gives.

    Attributes:
        loss: The loss of the batch, as the loss function gives it, without penalties.
        outputs: The model's outputs.
        labels: The labels, as the loss took them.
        score: The sum of the task's metric; None where it has none.
    """

    loss: Tensor
    outputs: Tensor
    labels: Tensor
    score: Tensor | None


@dataclass(frozen=True)
class TrainingStep:
    """One step of a training, for a batch.

    Attributes:
        optimizer: What changes the parameters.
        loss: The loss.
        limit: The limit on gradients.
        score: Sums the metric over a batch; None where there is no metric.
        penalty: What is added to the loss for the sake of its gradients, if anything.
        parameters: All parameters of the model.
    """

    optimizer: Optimizer
    loss: Loss
    limit: GradientLimit
    score: Score | None
    penalty: Callable[[], Tensor] | None
    parameters: Parameters

    def __call__(
        self, forward: Forward, inputs: Any, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Take the step; return loss, outputs, labels and score, off the tape."""
        outputs, labels = self.fitted(forward(inputs), labels)
        loss = mean_loss(self.loss.function, outputs, labels)
        self.follow(loss)
        return loss.detach(), outputs.detach(), labels, self.scored(outputs, labels)

    def follow(self, loss: Tensor) -> None:
        """Change the parameters by the gradients of a loss."""
        total = loss if self.penalty is None else loss + self.penalty()
        self.optimizer.zero_grad()
        self.parameters.zero_grad()
        total.backward()
        self.limit.apply(self.parameters)
        self.optimizer.step()

    def scored(self, outputs: Tensor, labels: Tensor) -> Tensor | None:
        """Return the sum of the task's metric over a batch, if it has one."""
        with no_grad():
            return None if self.score is None else self.score(outputs.detach(), labels)

    def fitted(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and labels of fitting shapes and dtypes."""
        labels = self.fitted_labels(labels, outputs)
        return align(outputs, labels), labels

    def fitted_labels(self, labels: Tensor, outputs: Tensor) -> Tensor:
        """Return labels of a dtype, and on a device, that fit the outputs."""
        labels = labels.to(outputs.device)
        if self.loss.float_labels or is_floating(labels.dtype):
            return labels.astype(outputs.dtype)
        return labels.astype(neurenix.int64)


def mean_loss(function: LossFunction, outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of a batch as a scalar."""
    loss = function(outputs, labels)
    if not isinstance(loss, Tensor):
        raise TypeError(
            f"the loss function returned a {type(loss).__name__}; expected a tensor, which "
            "gradients can flow back from"
        )
    return loss if loss.ndim == 0 else loss.mean()
