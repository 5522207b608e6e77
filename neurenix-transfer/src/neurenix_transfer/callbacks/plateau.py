"""Lowering the learning rate when nothing gets better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from neurenix_transfer.callbacks.callback import Callback
from neurenix_transfer.callbacks.monitor import Monitor, check_options

if TYPE_CHECKING:
    from neurenix_transfer.history import History


class ReduceLROnPlateau(Callback):
    """Multiplies every learning rate by ``factor`` after ``patience`` epochs without improvement.

    Args:
        monitor: What must improve; ``"auto"`` is ``val_loss``, without validation data
            ``train_loss``.
        factor: Between 0 and 1.
        patience: How many epochs in a row may pass without improvement.
        mode: ``"min"``, ``"max"``, or ``"auto"`` by the name.
        min_delta: The least difference that counts as better.
        cooldown: Epochs after a reduction in which none are counted.
        min_lr: No learning rate is lowered below this.
    """

    def __init__(
        self,
        monitor: str = "auto",
        factor: float = 0.1,
        patience: int = 3,
        *,
        mode: Literal["auto", "min", "max"] = "auto",
        min_delta: float = 0.0,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        if not 0 < factor < 1:
            raise ValueError(f"factor lies between 0 and 1; got {factor!r}")
        if patience < 0 or cooldown < 0:
            raise ValueError(f"patience and cooldown are at least 0; got {patience}, {cooldown}")
        self.monitor = Monitor(monitor, mode, min_delta)
        self.factor = factor
        self.patience = patience
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._cooling = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the options, and what was seen."""
        return {
            **self._options(),
            "monitor": self.monitor.state_dict(),
            "cooling": self._cooling,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was seen.

        Raises:
            ValueError: The options were others.
        """
        check_options(self._options(), state)
        self.monitor.load_state_dict(state["monitor"])
        self._cooling = state["cooling"]

    def _options(self) -> dict[str, Any]:
        names = ("factor", "patience", "cooldown", "min_lr")
        return {name: getattr(self, name) for name in names}

    def on_train_begin(self, history: History) -> None:
        """Forget an earlier run."""
        self.monitor.begin()
        self.monitor.watched(history)
        self._cooling = 0

    def on_epoch_end(self, epoch: int, history: History) -> None:
        """Lower the learning rates, if the wait has been long enough."""
        improved = self.monitor.improved(epoch, history)
        if self._cooling > 0:
            self._cooling -= 1
            self.monitor.waited = 0
        elif not improved and self.monitor.waited >= max(self.patience, 1):
            for group in self.optimizer.param_groups:
                group["lr"] = max(group["lr"] * self.factor, self.min_lr)
            self._cooling = self.cooldown
            self.monitor.waited = 0
