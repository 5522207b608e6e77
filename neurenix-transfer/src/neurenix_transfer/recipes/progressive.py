"""The recipe ``"progressive"``: gradual unfreezing with discriminative rates.

The head learns first, then with it the last stage of the base, then the one before, each stage at a
lower rate than the one after it: what is general, deep down, changes last and least.

Reference: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", 2018.
"""

from __future__ import annotations

from typing import Any

from neurenix_transfer.callbacks import Callback
from neurenix_transfer.history import History
from neurenix_transfer.recipes.heads import linear_head
from neurenix_transfer.recipes.job import Job
from neurenix_transfer.recipes.layers import (
    Stage,
    Stages,
    find_stages,
    head_parameters,
    statistics_kept,
)
from neurenix_transfer.recipes.rates import (
    BASE_LR,
    DECAY,
    HEAD_LR,
    adamw,
    warm_up_then_cosine,
)
from neurenix_transfer.transfer_model import TransferModel


class GradualUnfreezing(Callback):
    """Unfreezes stages of a base one after another, the last one first.

    Args:
        stages: The stages, in the order in which they are unfrozen.
        starts: The epoch in which each begins to learn.

    Attributes:
        phases: What learned in each epoch so far.
    """

    def __init__(self, stages: tuple[Stage, ...], starts: list[int]) -> None:
        self.stages = stages
        self.starts = starts
        self.phases: dict[int, str] = {}

    def on_train_begin(self, history: History) -> None:
        """Let what is due at the first epoch learn."""
        self._unfreeze(0)

    def on_epoch_begin(self, epoch: int, history: History) -> None:
        """Note what learns; a run that is resumed catches up."""
        self._unfreeze(epoch)
        self.phases[epoch] = self.phase(epoch)

    def on_epoch_end(self, epoch: int, history: History) -> None:
        """Let what is due learn from the next epoch on, which others are then told of."""
        self._unfreeze(epoch + 1)

    def phase(self, epoch: int) -> str:
        """Return what learns in an epoch, such as ``"head + layer4.1"``."""
        due = [s.name for s, start in zip(self.stages, self.starts, strict=True) if start <= epoch]
        return "head" if not due else f"head + {due[-1]}" + (" and above" if len(due) > 1 else "")

    def _unfreeze(self, epoch: int) -> None:
        for stage, start in zip(self.stages, self.starts, strict=True):
            if start <= epoch:
                stage.set_trainable(True)


def run_progressive(job: Job) -> History:
    """Train the head, then more and more of the base with it.

    Raises:
        RecipeError: No layer of the base may learn.
    """
    model = job.model
    linear = None if isinstance(model, TransferModel) else linear_head(model).linear
    first = job.checked()[0].first
    stages = find_stages(model, head_parameters(model, linear), first, job.unfreeze)
    stages.freeze_base()
    starts = unfreezing_epochs(len(stages.learning), job.epochs)
    unfreezing = GradualUnfreezing(stages.learning, starts)
    lr, base_lr = job.lr or HEAD_LR, job.base_lr or BASE_LR
    rates = [base_lr / DECAY**depth for depth in range(len(stages.learning))]
    job.say(_described(stages, starts, lr, rates))
    groups = [(stages.head.params, lr)]
    groups += [(stage.params, rate) for stage, rate in zip(stages.learning, rates, strict=True)]
    options: dict[str, Any] = {"callbacks": [unfreezing, *(job.options.get("callbacks") or ())]}
    options["scheduler"] = job.options.get("scheduler") or warm_up_then_cosine()
    try:
        with statistics_kept(model):
            history: History = job.train(adamw(groups), **options)
    except KeyboardInterrupt as interrupt:
        _name_phases(getattr(interrupt, "history", None), unfreezing)
        raise
    _name_phases(history, unfreezing)
    return history


def unfreezing_epochs(stages: int, epochs: int) -> list[int]:
    """Return the epoch in which each stage begins to learn.

    They are spread over the first half: the head has its time alone, and all have theirs together.
    """
    half = epochs / 2
    return [min(round(half * (n + 1) / stages), max(epochs - 1, 0)) for n in range(stages)]


def _name_phases(history: History | None, unfreezing: GradualUnfreezing) -> None:
    if history is not None:
        history.phases = [unfreezing.phase(epoch) for epoch in range(history.epochs)]


def _described(stages: Stages, starts: list[int], lr: float, rates: list[float]) -> str:
    steps = ", ".join(
        f"{stage.name} from epoch {start + 1} at {rate:.2g}"
        for stage, start, rate in zip(stages.learning, starts, rates, strict=True)
    )
    return f"Gradual unfreezing: the head from epoch 1 at {lr:g}, {steps}"
