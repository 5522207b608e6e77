"""Optimizers, schedules of the learning rate, and limits on gradients.

| File | Holds |
|---|---|
| `optimizer` | `Optimizer`, the base: groups, state, checks |
| `sgd`, `adam` | `SGD`, `Adam`, `AdamW` |
| `scheduler` | `Scheduler`, the base of the schedules |
| `schedulers` | `StepLR`, `CosineAnnealingLR`, `OneCycleLR`, `LinearWarmup` |
| `plateau` | `ReduceLROnPlateau` |
| `clip` | `clip_grad_norm_`, `clip_grad_value_` |
"""

from neurenix.optim.adam import Adam, AdamW
from neurenix.optim.clip import NonFiniteGradientError, clip_grad_norm_, clip_grad_value_
from neurenix.optim.optimizer import Optimizer
from neurenix.optim.plateau import ReduceLROnPlateau
from neurenix.optim.scheduler import Scheduler
from neurenix.optim.schedulers import CosineAnnealingLR, LinearWarmup, OneCycleLR, StepLR
from neurenix.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "LinearWarmup",
    "NonFiniteGradientError",
    "OneCycleLR",
    "Optimizer",
    "ReduceLROnPlateau",
    "Scheduler",
    "StepLR",
    "clip_grad_norm_",
    "clip_grad_value_",
]
