"""Schedules of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from neurenix.optim.optimizer import Optimizer
from neurenix.optim.scheduler import Scheduler, check_count


class StepLR(Scheduler):
    """Multiplies the rate by a factor every so many steps: ``lr = base * gamma^(t // step_size)``.

    Args:
        optimizer: The optimizer.
        step_size: The number of steps between changes.
        gamma: The factor.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        super().__init__(optimizer)
        check_count("StepLR", "step_size", step_size)
        self.step_size = step_size
        self.gamma = gamma
        self._apply()

    def _rates(self) -> list[float]:
        factor = self.gamma ** (self.last_step // self.step_size)
        return [base * factor for base in self.base_lrs]


class CosineAnnealingLR(Scheduler):
    """Lowers the rate along half a cosine.

    ``lr = eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2``. Beyond ``T_max`` the cosine
    goes on, and the rate rises again.

    Args:
        optimizer: The optimizer.
        T_max: The step at which the rate reaches its minimum.
        eta_min: The minimum.

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        super().__init__(optimizer)
        check_count("CosineAnnealingLR", "T_max", T_max)
        self.T_max = T_max
        self.eta_min = eta_min
        self._apply()

    def _rates(self) -> list[float]:
        share = (1.0 + math.cos(math.pi * self.last_step / self.T_max)) / 2.0
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


class LinearWarmup(Scheduler):
    """Raises the rate in a straight line to its base, then keeps it or hands over.

    ``lr = base * (start_factor + (1 - start_factor) t / warmup_steps)`` up to step
    ``warmup_steps``. From there the scheduler ``then`` runs, counting from 0:

        LinearWarmup(optimizer, 100, then=CosineAnnealingLR(optimizer, 900))

    Args:
        optimizer: The optimizer.
        warmup_steps: The step at which the rate reaches its base.
        start_factor: The share of the base at step 0; by default ``1 / (warmup_steps + 1)``, so
            that no step is wasted on a rate of 0.
        then: The scheduler that follows, on the same optimizer and without steps so far.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_steps: int,
        start_factor: float | None = None,
        then: Scheduler | None = None,
    ) -> None:
        super().__init__(optimizer)
        check_count("LinearWarmup", "warmup_steps", warmup_steps)
        if start_factor is None:
            start_factor = 1.0 / (warmup_steps + 1)
        if not 0.0 <= start_factor <= 1.0:
            raise ValueError(f"LinearWarmup: start_factor lies between 0 and 1; got {start_factor}")
        if not (then is None or isinstance(then, Scheduler)):
            raise TypeError(
                f"LinearWarmup: a {type(then).__name__} does not go by steps alone and cannot "
                "follow; step it yourself after the warm-up"
            )
        if then is not None and then.optimizer is not optimizer:
            raise ValueError("LinearWarmup: the scheduler that follows has another optimizer")
        self.warmup_steps = warmup_steps
        self.start_factor = start_factor
        self.then = then
        self._apply()

    def _rates(self) -> list[float]:
        share = min(self.last_step, self.warmup_steps) / self.warmup_steps
        factor = self.start_factor + (1.0 - self.start_factor) * share
        return [base * factor for base in self.base_lrs]

    def step(self) -> None:
        """Go on by one step."""
        if self.then is None or self.last_step + 1 < self.warmup_steps:
            super().step()
            return
        self.last_step += 1
        if self.last_step == self.warmup_steps:
            self.then._apply()
        else:
            self.then.step()

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer, with the state of the scheduler that follows."""
        state = super().state_dict()
        state["then"] = None if self.then is None else self.then.state_dict()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a saved state; the optimizer's own holds its rates."""
        then, state = self.then, state_dict.get("then")
        if (then is None) != (state is None):
            raise ValueError("the saved LinearWarmup and this one differ in what follows them")
        if then is not None and state is not None:
            then.load_state_dict(state)
        super().load_state_dict(state_dict)
        self.then = then


class OneCycleLR(Scheduler):
    """Raises the rate to a maximum, then lowers it far below where it began; momentum opposite.

    Args:
        optimizer: The optimizer.
        max_lr: The maximum, or one a group.
        total_steps: The number of steps; or give ``epochs`` and ``steps_per_epoch``.
        epochs: The number of epochs.
        steps_per_epoch: The number of steps in each.
        pct_start: The share of the steps on which the rate rises.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        cycle_momentum: Whether the momentum (or Adam's first beta) goes down and up.
        base_momentum: Its minimum.
        max_momentum: Its maximum.
        div_factor: The first rate is ``max_lr / div_factor``.
        final_div_factor: The last rate is the first divided by this.
        three_phase: Whether the rate comes down to the first in a phase of its own, as long as
            the rise.

    Raises:
        ValueError: An argument is out of its range, or a step beyond the last is asked for.

    Reference:
        Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large
        Learning Rates", 2018.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        super().__init__(optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR needs total_steps, or both epochs and steps_per_epoch")
            check_count("OneCycleLR", "epochs", epochs)
            check_count("OneCycleLR", "steps_per_epoch", steps_per_epoch)
            total_steps = epochs * steps_per_epoch
        check_count("OneCycleLR", "total_steps", total_steps)
        if not 0.0 <= pct_start <= 1.0:
            raise ValueError(f"OneCycleLR: pct_start lies between 0 and 1; got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"OneCycleLR: anneal_strategy is 'cos' or 'linear', not {anneal_strategy!r}"
            )
        groups = optimizer.param_groups
        peaks = [max_lr] * len(groups) if isinstance(max_lr, int | float) else list(max_lr)
        if len(peaks) != len(groups):
            raise ValueError(
                f"OneCycleLR: max_lr gives {len(peaks)} rates for {len(groups)} groups"
            )
        if cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError(
                f"OneCycleLR: {type(optimizer).__name__} has no momentum to cycle; pass "
                "cycle_momentum=False"
            )
        self.total_steps = total_steps
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        self.base_momentum = base_momentum
        self.max_momentum = max_momentum
        self.max_lrs = [float(peak) for peak in peaks]
        self.base_lrs = [peak / div_factor for peak in self.max_lrs]
        self.final_lrs = [base / final_div_factor for base in self.base_lrs]
        rise = pct_start * total_steps - 1
        self._ends = (
            [rise, 2 * pct_start * total_steps - 2, total_steps - 1]
            if three_phase
            else [rise, total_steps - 1]
        )
        for group, base in zip(groups, self.base_lrs, strict=True):
            group["initial_lr"] = base
        self._apply()

    def _rates(self) -> list[float]:
        stops = [self.base_lrs, self.max_lrs, self.final_lrs]
        if len(self._ends) == 3:
            stops.insert(2, self.base_lrs)
        phase, share = self._position()
        return [
            self._between(start, end, share)
            for start, end in zip(stops[phase], stops[phase + 1], strict=True)
        ]

    def _apply(self) -> None:
        super()._apply()
        if not self.cycle_momentum:
            return
        stops = [self.max_momentum, self.base_momentum, self.max_momentum, self.max_momentum]
        phase, share = self._position()
        momentum = self._between(stops[phase], stops[phase + 1], share)
        for group in self.optimizer.param_groups:
            if "betas" in self.optimizer.defaults:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum

    def _position(self) -> tuple[int, float]:
        """Return the phase of the current step, and how much of it has passed."""
        start = 0.0
        for phase, end in enumerate(self._ends):
            if self.last_step <= end or phase == len(self._ends) - 1:
                return phase, (self.last_step - start) / (end - start) if end > start else 1.0
            start = end
        raise AssertionError("a cycle has phases")

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * share
        return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * share))

    def step(self) -> None:
        """Go on by one step.

        Raises:
            ValueError: The cycle is over.
        """
        if self.last_step >= self.total_steps:
            raise ValueError(
                f"this OneCycleLR is for {self.total_steps} steps, and they are taken; give the "
                "number of updates of the whole training as total_steps"
            )
        super().step()
