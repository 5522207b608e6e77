"""Keeping the best weights, and stopping when nothing gets better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from neurenix.autograd import no_grad
from neurenix_transfer.callbacks.callback import Callback
from neurenix_transfer.callbacks.monitor import Monitor, check_options, warn_without_validation

if TYPE_CHECKING:
    from neurenix import Tensor
    from neurenix.nn import Module
    from neurenix_transfer.history import History


class Snapshot:
    """A copy of what training changes in a model: trainable parameters, and buffers."""

    def __init__(self, model: Module) -> None:
        self._model = model
        self.copies: dict[str, Tensor] = {}
        self.extend()

    @classmethod
    def of(cls, model: Module, copies: Mapping[str, Tensor]) -> Snapshot:
        """Return the snapshot that these copies, by their paths in the model, were taken from."""
        snapshot = cls.__new__(cls)
        snapshot._model = model
        snapshot.copies = dict(copies)
        return snapshot

    def extend(self) -> None:
        """Take in what has become trainable since, as it still is unchanged."""
        trained = {name: p for name, p in self._model.named_parameters() if p.requires_grad}
        for name, tensor in {**trained, **dict(self._model.named_buffers())}.items():
            if name not in self.copies:
                self.copies[name] = tensor.detach().clone()

    def restore(self) -> None:
        """Put the copies back into the model."""
        tensors = self._tensors()
        with no_grad():
            for name, copy in self.copies.items():
                tensors[name].copy_(copy)

    def _tensors(self) -> dict[str, Tensor]:
        return {**dict(self._model.named_parameters()), **dict(self._model.named_buffers())}


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

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen, and the best weights and buffers."""
        copies = None if self._snapshot is None else dict(self._snapshot.copies)
        return {"monitor": self.monitor.state_dict(), "restores": self.restores, "best": copies}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was seen, with the best weights so far.

        Raises:
            ValueError: The options were others.
        """
        check_options({"restores": self.restores}, state)
        self.monitor.load_state_dict(state["monitor"])
        best = state["best"]
        self._snapshot = None if best is None else Snapshot.of(self.model, best)

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
