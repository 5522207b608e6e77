"""Whether there is a GPU is asked without loading anything native, and answered with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src"


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    """The module, on a machine whose driver lists a processor, where the engine is installed."""
    monkeypatch.syspath_prepend(str(SOURCES))
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0")
    monkeypatch.delenv("HIP_VISIBLE_DEVICES", raising=False)
    from neurenix_backend_rocm import probe

    monkeypatch.setattr(probe, "find_spec", lambda name: object())
    monkeypatch.setattr(probe, "DRIVER", tmp_path / "kfd")
    monkeypatch.setattr(probe, "NODES", tmp_path / "nodes")
    add_node(probe, 0)
    return probe


def add_node(probe, simd_count: int) -> None:
    node = probe.NODES / str(simd_count)
    node.mkdir(parents=True)
    (node / "properties").write_text(
        f"cpu_cores_count 8\nsimd_count {simd_count}\nmem_banks_count 1\n"
    )


def test_a_machine_without_a_driver_says_so(probe) -> None:
    assert probe.probe() == "no device, because the amdgpu driver is not loaded"


def test_a_processor_is_no_gpu(probe) -> None:
    probe.DRIVER.touch()
    assert probe.probe() == "no device, because the amdgpu driver lists no GPU"


def test_a_device_is_found(probe) -> None:
    probe.DRIVER.touch()
    add_node(probe, 440)
    assert probe.probe() is None


def test_hidden_devices_are_named(probe, monkeypatch: pytest.MonkeyPatch) -> None:
    probe.DRIVER.touch()
    add_node(probe, 440)
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "-1")
    assert "HIP_VISIBLE_DEVICES" in probe.probe()


def test_a_missing_module_is_named(probe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "find_spec", lambda name: None)
    assert "not built" in probe.probe()
