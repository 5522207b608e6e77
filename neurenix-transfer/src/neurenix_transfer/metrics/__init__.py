"""What is measured of each epoch beside the loss.

`fine_tune` takes names, functions ``(outputs, labels) -> number`` of a whole epoch, and objects
of `Metric`.
"""

from neurenix_transfer.metrics.choosing import MetricLike, choose_metrics
from neurenix_transfer.metrics.classification import F1, TopK
from neurenix_transfer.metrics.metric import FunctionMetric, Measured, Metric
from neurenix_transfer.metrics.regression import R2

__all__ = [
    "F1",
    "R2",
    "FunctionMetric",
    "Measured",
    "Metric",
    "MetricLike",
    "TopK",
    "choose_metrics",
]
