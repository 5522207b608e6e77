"""When a schedule of the learning rate takes its step."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from neurenix.optim import OneCycleLR, Optimizer
from neurenix_transfer.history import History


class Schedule:
    """A scheduler, stepped when its numbers mean.

    Args:
        scheduler: None; a scheduler, stepped once an epoch (`OneCycleLR` once a batch), with the
            watched loss where its ``step`` takes one; or a function
            ``(optimizer, total_steps) -> scheduler``, whose scheduler is stepped once a batch.
        optimizer: The optimizer that the function is given.
        total_steps: The number of batches of the whole run; None where it cannot be known.

    Raises:
        TypeError: It is neither.
        ValueError: The function needs a number of steps that cannot be known.
    """

    def __init__(
        self,
        scheduler: Any,
        optimizer: Optimizer,
        total_steps: int | None,
    ) -> None:
        self.scheduler: Any = scheduler
        self._by_batch = isinstance(scheduler, OneCycleLR)
        if scheduler is not None and not hasattr(scheduler, "step"):
            if not callable(scheduler):
                raise TypeError(
                    f"scheduler is an object with step(), or a function (optimizer, total_steps) "
                    f"that returns one; not {scheduler!r}"
                )
            if total_steps is None:
                raise ValueError(
                    "a scheduler given as a function is told the number of steps, which these "
                    "training data do not tell; pass a Dataset or a DataLoader"
                )
            self.scheduler = scheduler(optimizer, total_steps)
            self._by_batch = True
        self._takes_metric = self.scheduler is not None and _needs_argument(self.scheduler.step)

    @property
    def cycles_momentum(self) -> bool:
        """Whether it changes the momentum of an optimizer too, batch by batch."""
        return bool(getattr(self.scheduler, "cycle_momentum", False))

    def after_batch(self) -> None:
        """Take a step, if the schedule counts batches."""
        if self.scheduler is not None and self._by_batch:
            self.scheduler.step()

    def after_epoch(self, history: History) -> None:
        """Take a step, if the schedule counts epochs."""
        if self.scheduler is None or self._by_batch:
            return
        if self._takes_metric:
            self.scheduler.step(history[history.monitor][-1])
        else:
            self.scheduler.step()


def _needs_argument(function: Callable[..., Any]) -> bool:
    return any(
        parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        for parameter in inspect.signature(function).parameters.values()
    )
