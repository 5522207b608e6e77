"""WebGPU for Neurenix: the device ``webgpu``, on Vulkan, Metal and DX12, in WGSL and Rust.

Installing this distribution is enough: Neurenix finds it through its entry point.
"""

from neurenix_backend_webgpu._version import __version__

__all__ = ["__version__"]
