"""Samples of convolution, pooling, norms, losses and attention."""
