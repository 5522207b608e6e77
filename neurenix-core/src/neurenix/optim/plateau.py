"""A learning rate that falls where the training gets stuck."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, SupportsFloat

from neurenix.optim.optimizer import Optimizer
from neurenix.optim.scheduler import check_count


class ReduceLROnPlateau:
    """Multiplies the rate by a factor once a metric has not improved for a while.

    Args:
        optimizer: The optimizer.
        mode: ``"min"`` if the metric is to fall, ``"max"`` if it is to rise.
        factor: What the rate is multiplied by, below 1.
        patience: How many steps without improvement are accepted; the next one lowers the rate.
        threshold: How much better counts as an improvement.
        threshold_mode: ``"rel"``: by this share of the best value; ``"abs"``: by this much.
        cooldown: For how many steps after a change nothing is counted.
        min_lr: The lowest rate, or one a group.
        eps: A change smaller than this is not made.

    Attributes:
        best: The best value so far.
        num_bad_epochs: The steps since then.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"ReduceLROnPlateau takes an optimizer, not a {type(optimizer).__name__}"
            )
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode is 'min' or 'max', not {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"ReduceLROnPlateau: threshold_mode is 'rel' or 'abs', not {threshold_mode!r}"
            )
        if not 0.0 <= factor < 1.0:
            raise ValueError(f"ReduceLROnPlateau: factor is from 0 to below 1; got {factor}")
        check_count("ReduceLROnPlateau", "patience", patience, 0)
        check_count("ReduceLROnPlateau", "cooldown", cooldown, 0)
        groups = len(optimizer.param_groups)
        floors = [min_lr] * groups if isinstance(min_lr, int | float) else list(min_lr)
        if len(floors) != groups:
            raise ValueError(
                f"ReduceLROnPlateau: min_lr gives {len(floors)} rates for {groups} groups"
            )
        self.optimizer = optimizer
        self.mode: Literal["min", "max"] = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode: Literal["rel", "abs"] = threshold_mode
        self.cooldown = cooldown
        self.min_lrs = [float(floor) for floor in floors]
        self.eps = eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_step = 0

    def step(self, metrics: SupportsFloat) -> None:
        """Take note of the metric, and lower the rates if it has been stuck for long enough.

        Args:
            metrics: The metric, a number or a 0-d tensor. NaN is no improvement.
        """
        self.last_step += 1
        value = float(metrics)
        if self._improves(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def _improves(self, value: float) -> bool:
        margin = self.threshold
        if self.threshold_mode == "rel":
            if math.isinf(self.best):
                return value < self.best if self.mode == "min" else value > self.best
            # PyTorch's definition, which for a negative best value demands less than none.
            margin *= self.best
        return value < self.best - margin if self.mode == "min" else value > self.best + margin

    def _reduce(self) -> None:
        for group, floor in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            rate = max(float(group["lr"]) * self.factor, floor)
            if float(group["lr"]) - rate > self.eps:
                group["lr"] = rate

    def get_last_lr(self) -> list[float]:
        """Return the rate of each group as it is now."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer."""
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a saved state; the optimizer's own holds its rates.

        Raises:
            ValueError: It is the state of another kind of scheduler.
        """
        mine = set(self.state_dict())
        if set(state_dict) != mine:
            raise ValueError(
                f"not the state of a ReduceLROnPlateau: expected the keys {sorted(mine)}, got "
                f"{sorted(state_dict)}"
            )
        vars(self).update(state_dict)
