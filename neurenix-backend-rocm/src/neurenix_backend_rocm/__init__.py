"""Phynexus on AMD GPUs: the device ``rocm`` of Neurenix.

Installing this distribution is enough: Neurenix finds it through its entry point.
"""

from neurenix_backend_rocm._version import __version__

__all__ = ["__version__"]
