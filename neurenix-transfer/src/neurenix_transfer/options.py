"""What `fine_tune` can be asked to do beside plain training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from neurenix import nn
from neurenix.nn import Module
from neurenix_transfer.averaging import WeightAverage
from neurenix_transfer.class_weights import ClassWeight, check_class_weight
from neurenix_transfer.gradient_limits import GradientLimit
from neurenix_transfer.losses import Loss
from neurenix_transfer.metrics import Metric, MetricLike, choose_metrics
from neurenix_transfer.mixing import Mixup
from neurenix_transfer.numbers import check_share
from neurenix_transfer.objectives import training_loss
from neurenix_transfer.regularizers import Regularizer, RegularizerLike, as_regularizer
from neurenix_transfer.sources import Array
from neurenix_transfer.tasks import Task


@dataclass(frozen=True)
class TrainingOptions:
    """The options as they were given; see `neurenix.transfer.fine_tune`.

    Attributes:
        clip_norm: The largest norm of all gradients.
        clip_value: The largest absolute value of an element of a gradient.
        class_weight: ``"balanced"``, or a mapping from class to weight.
        label_smoothing: The share of every target that is spread over the classes.
        mixup: The parameter of mixup's Beta distribution; 0 for none.
        metrics: What is measured beside the loss.
        regularizer: A penalty on the weights.
        ema: The decay of the average of the weights; None for none.
    """

    clip_norm: float | None = None
    clip_value: float | None = None
    class_weight: ClassWeight | None = None
    label_smoothing: float = 0.0
    mixup: float = 0.0
    metrics: MetricLike | Iterable[MetricLike] = ()
    regularizer: RegularizerLike | None = None
    ema: float | None = None

    def __post_init__(self) -> None:
        """Check everything that can be checked without model and data."""
        GradientLimit(self.clip_norm, self.clip_value)
        check_class_weight(self.class_weight)
        check_share("label_smoothing", self.label_smoothing)
        if self.mixup != 0:
            Mixup(self.mixup)
        as_regularizer(self.regularizer)
        if self.ema is not None:
            check_share("ema", self.ema)

    def settings(self) -> dict[str, Any]:
        """Return what a resumed run must have in common with its first part, but the extras."""
        weight = self.class_weight
        if isinstance(weight, Mapping):
            weight = {int(key): float(value) for key, value in weight.items()}
        return {"class_weight": weight, "label_smoothing": self.label_smoothing}

    def loss(
        self,
        loss: Loss,
        task: Task | None,
        terminal: Module | None,
        labels: Array,
        output_shape: tuple[int, ...],
        given: bool,
    ) -> Loss:
        """Return the loss with class weights and smoothing in its training part."""
        return training_loss(
            loss,
            task,
            terminal,
            labels=labels,
            classes=output_shape[0] if output_shape else 1,
            class_weight=self.class_weight,
            label_smoothing=self.label_smoothing,
            given=given,
        )

    def extras(
        self,
        model: Module,
        task: Task | None,
        output_shape: tuple[int, ...],
        terminal: nn.Module | None,
    ) -> Extras:
        """Make what the training loop calls."""
        regularizer = as_regularizer(self.regularizer)
        if regularizer is not None:
            regularizer.on_train_begin(model)
        return Extras(
            limit=GradientLimit(self.clip_norm, self.clip_value),
            mixup=Mixup(self.mixup) if self.mixup else None,
            metrics=choose_metrics(self.metrics, task, output_shape, terminal),
            regularizer=regularizer,
            average=None if self.ema is None else WeightAverage(model, self.ema),
        )


@dataclass
class Extras:
    """What a training loop does beside forward, backward and step.

    Attributes:
        limit: The limit on gradients.
        mixup: What mixes batches, if anything.
        metrics: What is measured beside the loss and the task's own metric.
        regularizer: A penalty on the weights, if any.
        average: An average of the weights, if any: validated in their place, and kept at the end.
    """

    limit: GradientLimit = field(default_factory=GradientLimit)
    mixup: Mixup | None = None
    metrics: list[Metric] = field(default_factory=list)
    regularizer: Regularizer | None = None
    average: WeightAverage | None = None

    def describe(self) -> str:
        """Return what is out of the ordinary, for the printed line; empty for nothing."""
        parts = []
        if self.limit.norm is not None:
            parts.append(f"gradients limited to the norm {self.limit.norm:g}")
        if self.limit.value is not None:
            parts.append(f"gradients limited to ±{self.limit.value:g}")
        if self.mixup is not None:
            parts.append(f"mixup {self.mixup.alpha:g}")
        if self.regularizer is not None:
            parts.append(self.regularizer.describe())
        if self.average is not None:
            parts.append(
                f"the average of the weights (decay {self.average.decay:g}) is validated and kept"
            )
        return "; ".join(parts)

    def settings(self) -> dict[str, Any]:
        """Return what a resumed run must have in common with its first part."""
        return {
            "clip_norm": self.limit.norm,
            "clip_value": self.limit.value,
            "mixup": None if self.mixup is None else self.mixup.alpha,
            "metrics": [metric.name for metric in self.metrics],
            "regularizer": None if self.regularizer is None else self.regularizer.describe(),
            "ema": None if self.average is None else self.average.decay,
        }
