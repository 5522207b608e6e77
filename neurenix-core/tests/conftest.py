"""A second device to move things to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from neurenix.backends import Device
from neurenix.backends.registry import host_device


@pytest.fixture
def twin() -> Iterator[Device]:
    """NumPy under another name: a device of its own, as far as tensors can tell."""
    host, device = host_device(), Device("twin")
    device.backend, device.kernels, device.empty = host.backend, host.kernels, host.empty
    yield device
    device.backend = None
