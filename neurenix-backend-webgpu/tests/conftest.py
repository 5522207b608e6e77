"""Without the backend, or an adapter, its tests are skipped, with the reason."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache

import pytest

RunPython = Callable[..., subprocess.CompletedProcess[str]]


@cache
def _reason() -> str | None:
    """Return why the tests cannot run, if they cannot."""
    if os.environ.get("NEURENIX_PLUGIN_AUTOLOAD") == "0":
        return "plugins are off in this process, as core's tests want it: run these apart"
    try:
        found = importlib.util.find_spec("neurenix_backend_webgpu._native") is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        return "the backend is not installed: `pip install ./neurenix-backend-webgpu`, with cargo"
    from neurenix_backend_webgpu.adapters import adapters

    if not adapters():
        return "there is no adapter: on Debian, mesa-vulkan-drivers has one in software"
    return None


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Skip the tests of this folder that need an adapter where there is none."""
    for item in items:
        if "neurenix-backend-webgpu" in item.path.parts and "web" not in item.path.parts:
            reason = _reason()
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True, scope="session")
def with_software() -> None:
    """Let an adapter in software count as a device: most machines that run tests have no GPU."""
    os.environ.setdefault("NEURENIX_WEBGPU_SOFTWARE", "1")


@pytest.fixture(scope="session")
def run_python() -> RunPython:
    """Return a function that runs Python code in a new process, with variables set."""

    def run(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **variables},
            timeout=600,
        )

    return run
