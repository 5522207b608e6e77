"""Optimizers and schedules: which parameters learn at which rate, and how it moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from neurenix.nn import Parameter
from neurenix.optim import AdamW, CosineAnnealingLR, LinearWarmup, Optimizer
from neurenix.optim.scheduler import Scheduler

HEAD_LR = 3e-3
"""The rate of a head that starts from nothing; measured on photos, see the guide."""

BASE_LR = 1e-4
"""The rate of pretrained layers, and of a head that a probe has set."""

DECAY = 2.6
"""How much slower each layer learns than the one after it (Howard and Ruder, 2018)."""

WEIGHT_DECAY = 0.01
WARMUP_FRACTION = 0.1


def adamw(
    groups: Sequence[tuple[Sequence[Parameter], float]], weight_decay: float = WEIGHT_DECAY
) -> AdamW:
    """Return AdamW over groups of parameters with a rate each; only matrices are decayed.

    On a bias, or the scale of a norm, decay would pull towards values that mean nothing.
    """
    split: list[dict[str, Any]] = []
    for params, lr in groups:
        for matrices, decay in ((True, weight_decay), (False, 0.0)):
            chosen = [param for param in params if (param.ndim > 1) == matrices]
            if chosen:
                split.append({"params": chosen, "lr": lr, "weight_decay": decay})
    return AdamW(split, lr=None)


def warm_up_then_cosine(
    warmup_fraction: float = WARMUP_FRACTION,
) -> Callable[[Optimizer, int], Scheduler]:
    """Return what makes a schedule: up in a straight line, then down along a cosine, by step."""

    def schedule(optimizer: Optimizer, total_steps: int) -> Scheduler:
        warmup_steps = round(warmup_fraction * total_steps)
        cosine = CosineAnnealingLR(optimizer, max(total_steps - warmup_steps, 1))
        return LinearWarmup(optimizer, warmup_steps, then=cosine) if warmup_steps else cosine

    return schedule
