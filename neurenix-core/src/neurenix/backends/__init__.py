"""Backends: the protocol, the registry of devices, and the NumPy reference."""

from neurenix.backends.device import Device, DeviceLike, DeviceType
from neurenix.backends.protocol import Backend, Buffer, DeviceInfo, Kernel, Shape
from neurenix.backends.registry import (
    available_devices,
    default_device,
    get_available_devices,
    resolve,
)

__all__ = [
    "Backend",
    "Buffer",
    "Device",
    "DeviceInfo",
    "DeviceLike",
    "DeviceType",
    "Kernel",
    "Shape",
    "available_devices",
    "default_device",
    "get_available_devices",
    "resolve",
]
