"""Whether there is a GPU is asked without loading anything native, and answered with the reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src"


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    """The module, on a machine without devices, where the native module is installed."""
    monkeypatch.syspath_prepend(str(SOURCES))
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    from neurenix_backend_cuda import probe

    monkeypatch.setattr(probe, "find_spec", lambda name: object())
    monkeypatch.setattr(probe, "DEVICES", tmp_path)
    monkeypatch.setattr(probe, "DRIVER", tmp_path / "version")
    return probe


def test_a_machine_without_a_driver_says_so(probe) -> None:
    assert probe.probe() == "no device, because no NVIDIA driver is loaded"


def test_a_driver_without_devices_says_so(probe) -> None:
    probe.DRIVER.touch()
    assert "lists no GPU" in probe.probe()


@pytest.mark.parametrize("device", ["nvidia0", "dxg"])
def test_a_device_is_found(probe, device: str) -> None:
    (probe.DEVICES / device).touch()
    assert probe.probe() is None


def test_the_control_device_is_no_gpu(probe) -> None:
    (probe.DEVICES / "nvidiactl").touch()
    assert probe.probe() is not None


def test_hidden_devices_are_named(probe, monkeypatch: pytest.MonkeyPatch) -> None:
    (probe.DEVICES / "nvidia0").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES" in probe.probe()


def test_probing_loads_nothing_native() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCES)!r})\n"
        "from neurenix_backend_cuda.probe import probe\n"
        "print(probe())\n"
        "print([m for m in sys.modules if '_native' in m or m in ('ctypes', 'numpy')])\n"
    )
    # The version is that of an installed distribution, which need not be there.
    code = code.replace(
        "from neurenix",
        "import importlib.metadata\nimportlib.metadata.version = lambda name: '0'\nfrom neurenix",
        1,
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    reason, loaded = done.stdout.splitlines()
    assert reason.startswith("no device, because ") or reason == "None"
    assert loaded == "[]"
