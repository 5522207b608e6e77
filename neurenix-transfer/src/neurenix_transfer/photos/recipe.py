"""How the command trains: which parameters at which rate, and how the rate moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from neurenix.optim import AdamW, CosineAnnealingLR, LinearWarmup, Optimizer
from neurenix.optim.scheduler import Scheduler
from neurenix_transfer.photos.options import FineTuneOptions

if TYPE_CHECKING:
    from neurenix_transfer.transfer_model import TransferModel


def make_optimizer(model: TransferModel, options: FineTuneOptions) -> AdamW:
    """Return AdamW over what is trained; biases and norms are not decayed.

    Weight decay keeps matrices small. On a bias, or the scale of a norm, it would pull towards
    values that mean nothing.
    """
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = []
    for part, lr in (("new_layers.", options.lr), ("base_model.", options.unfrozen_lr)):
        for matrices, decay in ((True, options.weight_decay), (False, 0.0)):
            params = [
                p for name, p in trained if name.startswith(part) and (p.ndim > 1) == matrices
            ]
            if params:
                groups.append({"params": params, "lr": lr, "weight_decay": decay})
    return AdamW(groups, lr=None)


def make_schedule(options: FineTuneOptions) -> Callable[[Optimizer, int], Scheduler]:
    """Return what makes the schedule: up in a straight line, then down along a cosine, by step."""

    def schedule(optimizer: Optimizer, total_steps: int) -> Scheduler:
        warmup_steps = round(options.warmup_fraction * total_steps)
        cosine = CosineAnnealingLR(optimizer, max(total_steps - warmup_steps, 1))
        return LinearWarmup(optimizer, warmup_steps, then=cosine) if warmup_steps else cosine

    return schedule
