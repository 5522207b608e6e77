"""Saving the weights while training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from neurenix.io import save_safetensors
from neurenix_transfer.callbacks.callback import Callback
from neurenix_transfer.callbacks.monitor import Monitor

if TYPE_CHECKING:
    from neurenix_transfer.history import History


class ModelCheckpoint(Callback):
    """Saves the model's state dict as a safetensors file after each epoch, or each best one.

    The file appears whole or not at all, whenever the process is stopped.

    Args:
        path: The file; ``{epoch}`` (counted from 1) and the keys of the history may stand in it,
            as in ``"weights-{epoch:02d}-{val_loss:.3f}.safetensors"``. Folders are made.
        monitor: What tells the best epoch; ``"auto"`` is ``val_loss``, without validation data
            ``train_loss``.
        save_best_only: Whether only epochs that improve are saved.
        mode: ``"min"``, ``"max"``, or ``"auto"`` by the name.

    Attributes:
        saved: The files written, in order.
    """

    def __init__(
        self,
        path: str | Path,
        monitor: str = "auto",
        *,
        save_best_only: bool = True,
        mode: Literal["auto", "min", "max"] = "auto",
    ) -> None:
        self.path = str(path)
        self.monitor = Monitor(monitor, mode)
        self.save_best_only = save_best_only
        self.saved: list[Path] = []

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen, and the files that were written."""
        return {"monitor": self.monitor.state_dict(), "saved": [str(path) for path in self.saved]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was seen.

        Raises:
            ValueError: Something else was watched.
        """
        self.monitor.load_state_dict(state["monitor"])
        self.saved = [Path(path) for path in state["saved"]]

    def on_train_begin(self, history: History) -> None:
        """Forget an earlier run, and find mistakes in the path now."""
        self.monitor.begin()
        if self.save_best_only:
            self.monitor.watched(history)
        self._file(0, dict.fromkeys(history, 0.0))

    def on_epoch_end(self, epoch: int, history: History) -> None:
        """Save the model, if it is to be."""
        if self.save_best_only and not self.monitor.improved(epoch, history):
            return
        file = self._file(epoch, history.last())
        file.parent.mkdir(parents=True, exist_ok=True)
        save_safetensors(file, self.model.state_dict(), {"epoch": str(epoch + 1)})
        self.saved.append(file)

    def _file(self, epoch: int, values: dict[str, float]) -> Path:
        try:
            return Path(self.path.format(epoch=epoch + 1, **values))
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"the checkpoint path {self.path!r} cannot be filled in ({error}); it may hold "
                f"{{epoch}} and {', '.join(f'{{{key}}}' for key in values)}"
            ) from error
