"""Phynexus on the CPU: the native engine of Neurenix.

Installing this distribution is enough: Neurenix finds it through its entry point, and the device
``cpu`` is served by it from then on. ``cpu@neurenix-core`` stays NumPy's.
"""

from neurenix_backend_cpu._version import __version__
from neurenix_backend_cpu.peak import peak_flops

__all__ = ["__version__", "peak_flops"]
