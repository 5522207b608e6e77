"""Watching one quantity of the history for improvement."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from neurenix_transfer.history import History


_RISING = ("accuracy", "auc", "f1", "precision", "recall", "score", "r2")


_SEEN = ("best", "best_epoch", "waited")


class Monitor:
    """Watches one quantity: whether its newest value is better than the best before.

    NaN is never better.

    Args:
        quantity: A key of the history, such as ``"val_loss"``. ``"auto"`` is ``val_loss`` where
            there are validation data, else ``train_loss``.
        mode: ``"min"``, ``"max"``, or ``"auto"``: accuracies and scores rise, all else falls.
        min_delta: The least difference that counts as better.

    Attributes:
        best: The best value so far.
        best_epoch: Its epoch; None before there is one.
        waited: The epochs since.
    """

    def __init__(
        self,
        quantity: str = "auto",
        mode: Literal["auto", "min", "max"] = "auto",
        min_delta: float = 0.0,
    ) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f'mode is "auto", "min" or "max", not {mode!r}')
        if not min_delta >= 0:
            raise ValueError(f"min_delta is at least 0, not {min_delta!r}")
        self.quantity = quantity
        self.mode = mode
        self.min_delta = min_delta
        self.begin()

    def begin(self) -> None:
        """Forget what was seen, for a new run."""
        self.best = math.nan
        self.best_epoch: int | None = None
        self.waited = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what is watched, and what was seen."""
        return {**self._options(), **{key: getattr(self, key) for key in _SEEN}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was seen.

        Raises:
            ValueError: Something else was watched.
        """
        check_options(self._options(), state)
        for key in _SEEN:
            setattr(self, key, state[key])

    def _options(self) -> dict[str, Any]:
        return {"quantity": self.quantity, "mode": self.mode, "min_delta": self.min_delta}

    def watched(self, history: History) -> str:
        """Return the key that is watched in a history.

        Raises:
            ValueError: The history has no such key.
        """
        if self.quantity == "auto":
            return history.monitor
        known = [key for key in history if history.validated or not key.startswith("val_")]
        if self.quantity not in known:
            raise ValueError(
                f"there is no {self.quantity!r} to watch; this run gives {', '.join(known)}"
                + ("" if history.validated else ". Pass val_data for those of validation")
            )
        return self.quantity

    def improved(self, epoch: int, history: History) -> bool:
        """Take in the newest value, and return whether it is the best."""
        key = self.watched(history)
        value = history[key][-1]
        if self.is_better(key, value):
            self.best, self.best_epoch, self.waited = value, epoch, 0
            return True
        self.waited += 1
        return False

    def is_better(self, key: str, value: float) -> bool:
        """Whether a value is better than the best so far."""
        if math.isnan(value):
            return False
        if math.isnan(self.best):
            return True
        rises = self.mode == "max" or (self.mode == "auto" and _rises(key))
        gain = value - self.best if rises else self.best - value
        return gain > self.min_delta


def check_options(options: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Check that a saved state is of the same options.

    Raises:
        ValueError: It is not.
    """
    for name, value in options.items():
        if state[name] != value:
            raise ValueError(
                f"a callback has {name}={value!r}, and had {name}={state[name]!r} in the checkpoint"
            )


def warn_without_validation(history: History, what: str) -> None:
    """Warn that the training loss is watched for want of validation data."""
    if not history.validated:
        warnings.warn(
            f"{what} watches train_loss, as there are no validation data. It usually keeps "
            "falling while the model overfits; pass val_data and val_labels.",
            stacklevel=2,
        )


def _rises(key: str) -> bool:
    return any(part in key for part in _RISING)
