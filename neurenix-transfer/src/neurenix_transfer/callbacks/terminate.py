"""Ending a training that has diverged."""

from __future__ import annotations

import math
from collections.abc import Mapping

from neurenix_transfer.callbacks.callback import Callback, StopTraining


class TerminateOnNaN(Callback):
    """Stops the training at the first batch whose loss is NaN or infinite."""

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """Stop, if the loss is no number to go on with."""
        if not math.isfinite(logs["loss"]):
            raise StopTraining(f"the loss of batch {batch} is {logs['loss']}")
