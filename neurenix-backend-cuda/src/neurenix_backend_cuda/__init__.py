"""Phynexus on NVIDIA GPUs: the device ``cuda`` of Neurenix.

Installing this distribution is enough: Neurenix finds it through its entry point.
"""

from neurenix_backend_cuda._version import __version__

__all__ = ["__version__"]
