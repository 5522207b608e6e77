"""What all schedules of the learning rate share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurenix.optim.optimizer import Optimizer


class Scheduler:
    """Sets the learning rates of an optimizer as a function of the number of steps.

    Creating a scheduler sets the rates of step 0. Call `step` once an update, or once an epoch,
    whichever the numbers that it was given count. A rate set by hand holds until then.

    A subclass gives the rates as ``_rates``, from ``self.last_step`` and ``self.base_lrs``.

    Args:
        optimizer: The optimizer; each group's rate at this moment is its base rate, unless a
            scheduler noted one before as ``"initial_lr"``.

    Attributes:
        base_lrs: The base rate of each group.
        last_step: How many steps were taken.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"{type(self).__name__} takes an optimizer, not a {type(optimizer).__name__}"
            )
        self.optimizer = optimizer
        self.last_step = 0
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]

    def _rates(self) -> list[float]:
        raise NotImplementedError(f"{type(self).__name__} does not define _rates()")

    def _apply(self) -> None:
        """Write the rates of the current step into the groups."""
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise ValueError(
                f"the optimizer has {len(groups)} groups, and had {len(self.base_lrs)} when this "
                f"{type(self).__name__} was created. Create a new scheduler after adding a group"
            )
        for group, rate in zip(groups, self._rates(), strict=True):
            group["lr"] = rate

    def step(self) -> None:
        """Go on by one step."""
        self.last_step += 1
        self._apply()

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
                f"not the state of a {type(self).__name__}: expected the keys {sorted(mine)}, "
                f"got {sorted(state_dict)}"
            )
        vars(self).update(state_dict)


def check_count(scheduler: str, name: str, value: Any, least: int = 1) -> None:
    """Check a number of steps.

    Raises:
        ValueError: It is not a whole number of at least ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"{scheduler}: {name} is a whole number of at least {least}; got {value!r}"
        )
