"""Core's own backend, whatever else is installed; and a second device to move things to."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from neurenix.backends import Device
from neurenix.backends.registry import host_device

# Plugins are found at the first question about a device: these tests are of core and NumPy, also
# where an engine is installed. Engines have the conformance kit, and tests of their own.
os.environ["NEURENIX_PLUGIN_AUTOLOAD"] = "0"


@pytest.fixture
def twin() -> Iterator[Device]:
    """NumPy under another name: a device of its own, as far as tensors can tell."""
    host, device = host_device(), Device("twin")
    device.backend, device.kernels, device.empty = host.backend, host.kernels, host.empty
    yield device
    device.backend = None
