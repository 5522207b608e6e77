"""The engine must be installed; without it its tests are skipped, with the reason."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

RunPython = Callable[..., subprocess.CompletedProcess[str]]
_NAMES = ("avx512", "avx2", "neon", "portable")


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("neurenix_backend_cpu._native") is not None
    except ModuleNotFoundError:
        return False


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Skip the tests of this folder where there is no engine, or none is looked for."""
    if os.environ.get("NEURENIX_PLUGIN_AUTOLOAD") == "0":
        reason = "plugins are off in this process, as core's tests want it: run these apart"
    elif _is_installed():
        return
    else:
        reason = "the native engine is not installed: `python tools/install_engine.py`, with cargo"
    for item in items:
        if "neurenix-backend-cpu" in item.path.parts:
            item.add_marker(pytest.mark.skip(reason=reason))


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
        )

    return run


@pytest.fixture(scope="session")
def instruction_sets() -> tuple[str, ...]:
    """Return the instruction sets that this processor has, the best first."""
    from neurenix_backend_cpu import _native

    now, found = _native.instruction_set(), []
    for name in _NAMES:
        try:
            found.append(_native.set_instruction_set(name))
        except ValueError:
            continue
    _native.set_instruction_set(now)
    return tuple(found)
