"""Tools to test ops and backends: samples of every op, and the gradient checker."""

from neurenix.testing.gradcheck import GradientMismatch, check_gradients
from neurenix.testing.samples import Sample, samples_of

__all__ = ["GradientMismatch", "Sample", "check_gradients", "samples_of"]
