"""Keeping the best weights, and stopping when nothing gets better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from neurenix.autograd import no_grad
from neurenix_transfer.callbacks.callback import Callback
from neurenix_transfer.callbacks.monitor import Monitor, warn_without_validation

if TYPE_CHECKING:
    from neurenix import Tensor
    from neurenix.nn import Module
    from neurenix_transfer.history import History


class Snapshot:
    """A copy of what training changes in a model: trainable parameters, and buffers."""

    def __init__(self, model: Module) -> None:
        self._model = model
        self._copies: list[tuple[Tensor, Tensor]] = []
        self._held: set[int] = set()
        self.extend()

    def extend(self) -> None:
        """Take in what has become trainable since, as it still is unchanged."""
        changing = [param for param in self._model.parameters() if param.requires_grad]
        for tensor in [*changing, *self._model.buffers()]:
            if id(tensor) not in self._held:
                self._held.add(id(tensor))
                self._copies.append((tensor, tensor.detach().clone()))

    def restore(self) -> None:
        """Put the copies back into the model."""
        with no_grad():
            for tensor, copy in self._copies:
                tensor.copy_(copy)


class BestWeights(Callback):
    """Keeps the weights and buffers of the best epoch, and puts them back when training ends.

    They are put back however it ends, at Ctrl-C too.

    Args:
        monitor: What tells the best epoch; ``"auto"`` is ``val_loss``, without validation data
            ``train_loss``.
        mode: ``"min"``, ``"max"``, or ``"auto"`` by the name.
        min_delta: The least difference that counts as better.
    """

    def __init__(
        self,
        monitor: str = "auto",
        *,
        mode: Literal["auto", "min", "max"] = "auto",
        min_delta: float = 0.0,
    ) -> None:
        self.monitor = Monitor(monitor, mode, min_delta)
        self.restores = True
        self._snapshot: Snapshot | None = None

    def on_train_begin(self, history: History) -> None:
        """Forget an earlier run."""
        self.monitor.begin()
        self.monitor.watched(history)  # a name that does not exist fails now, not after an epoch
        self._snapshot = None
        if self.monitor.quantity == "auto":
            warn_without_validation(history, type(self).__name__)

    def on_epoch_begin(self, epoch: int, history: History) -> None:
        """Take in parameters that were unfrozen since the best epoch."""
        if self._snapshot is not None:
            self._snapshot.extend()

    def on_epoch_end(self, epoch: int, history: History) -> None:
        """Keep the weights, if they are the best so far."""
        if self.monitor.improved(epoch, history) and self.restores:
            self._snapshot = Snapshot(self.model)

    def on_train_end(self, history: History) -> None:
        """Put the best weights back."""
        if self._snapshot is not None:
            self._snapshot.restore()
            self._snapshot = None
            history.best_epoch = self.monitor.best_epoch
            history.restored = True


class EarlyStopping(BestWeights):
    """Stops the training after ``patience`` epochs without improvement.

    Args:
        monitor: What must improve; ``"auto"`` is ``val_loss``, without validation data
            ``train_loss``.
        patience: How many epochs in a row may pass without improvement. NaN never improves.
        mode: ``"min"``, ``"max"``, or ``"auto"`` by the name.
        min_delta: The least difference that counts as better.
        restore_best: Whether the weights and buffers of the best epoch are put back at the end.
    """

    def __init__(
        self,
        monitor: str = "auto",
        patience: int = 3,
        *,
        mode: Literal["auto", "min", "max"] = "auto",
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        super().__init__(monitor, mode=mode, min_delta=min_delta)
        if patience < 0:
            raise ValueError(f"patience is a number of epochs, at least 0; got {patience}")
        self.patience = patience
        self.restores = restore_best

    def on_epoch_end(self, epoch: int, history: History) -> None:
        """Keep the weights if they are the best, and stop after too many that are not."""
        super().on_epoch_end(epoch, history)
        if self.monitor.waited >= max(self.patience, 1):
            self.model.stop_training = True
