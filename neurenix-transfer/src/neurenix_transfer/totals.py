"""What the batches of an epoch give, joined at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from neurenix import Tensor
from neurenix_transfer.history import History
from neurenix_transfer.metrics import Measured, Metric


@dataclass
class Totals:
    """What the batches of an epoch gave, read back from the device once, at its end.

    Attributes:
        metrics: What is measured beside the loss and the task's own metric.
        losses: The loss of each batch, with its number of samples.
        scores: The task's own metric of each batch, summed over its samples.
        measured: What each of the metrics took of each batch.
    """

    metrics: Sequence[Metric] = ()
    losses: list[tuple[Tensor, int]] = field(default_factory=list)
    scores: list[Tensor] = field(default_factory=list)
    measured: list[list[Measured]] = field(default_factory=list)

    def means(self) -> tuple[float, float | None]:
        """Return the loss and the score, each as a mean over the samples."""
        count = sum(size for _, size in self.losses)
        loss = sum(float(loss.item()) * size for loss, size in self.losses) / count
        if not self.scores:
            return loss, None
        return loss, sum(float(score.item()) for score in self.scores) / count

    def measure(self, outputs: Tensor, labels: Tensor) -> None:
        """Let every metric take what it wants of a batch."""
        if self.metrics:
            self.measured.append([metric.measure(outputs, labels) for metric in self.metrics])

    def values(self, part: str, history: History) -> dict[str, float]:
        """Return everything by the history's keys, for ``"train"`` or ``"val"``."""
        loss, score = self.means()
        values = {f"{part}_loss": loss}
        if score is not None and history.metric is not None:
            values[f"{part}_{history.metric}"] = score
        for metric, batches in zip(self.metrics, zip(*self.measured, strict=True), strict=True):
            arrays = [tuple(tensor.numpy() for tensor in batch) for batch in batches]
            values[f"{part}_{metric.name}"] = metric.combine(arrays)
        return values
