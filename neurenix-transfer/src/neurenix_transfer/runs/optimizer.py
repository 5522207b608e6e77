"""How a run without a recipe trains: which parameters at which rate, and how the rate moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from neurenix.optim import AdamW, Optimizer
from neurenix.optim.scheduler import Scheduler
from neurenix_transfer.recipes.rates import adamw, warm_up_then_cosine
from neurenix_transfer.runs.options import RunOptions

if TYPE_CHECKING:
    from neurenix_transfer.transfer_model import TransferModel


def make_optimizer(model: TransferModel, options: RunOptions) -> AdamW:
    """Return AdamW over what is trained; biases and norms are not decayed."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        ([param for name, param in trained if name.startswith(part)], lr)
        for part, lr in (("new_layers.", options.lr), ("base_model.", options.unfrozen_lr))
    ]
    return adamw(groups, options.weight_decay)


def make_schedule(options: RunOptions) -> Callable[[Optimizer, int], Scheduler]:
    """Return what makes the schedule: up in a straight line, then down along a cosine, by step."""
    return warm_up_then_cosine(options.warmup_fraction)
