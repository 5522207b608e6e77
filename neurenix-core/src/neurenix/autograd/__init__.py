"""Automatic differentiation: reverse mode, over a tape that dispatch writes."""

from neurenix.autograd.backward import backward, grad
from neurenix.autograd.modes import enable_grad, inference_mode, is_grad_enabled, no_grad

__all__ = ["backward", "enable_grad", "grad", "inference_mode", "is_grad_enabled", "no_grad"]
