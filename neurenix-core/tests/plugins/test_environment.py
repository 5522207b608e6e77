"""Environment variables: a value that is not understood is an error that says what is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import neurenix as nx
from neurenix.backends import registry
from neurenix.backends.numpy.backend import NumpyBackend
from neurenix.errors import DeviceError, SettingError
from neurenix.plugins import BackendSpec, PluginManager, environment

from .conftest import Register

FACTORY = f"{NumpyBackend.__module__}:open_backend"


@pytest.fixture
def undecided() -> Iterator[None]:
    registry.default_device.cache_clear()
    yield
    registry.default_device.cache_clear()


def test_an_empty_value_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEVICE", "BACKENDS", "PLUGIN_AUTOLOAD", "HOST_FALLBACK"):
        monkeypatch.setenv(f"NEURENIX_{name}", " ")
    assert environment.device() is None
    assert environment.allowed_backends() is None
    assert environment.autoload()
    assert environment.host_fallback() == "warn"


def test_autoload_is_0_or_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURENIX_PLUGIN_AUTOLOAD", "no")
    with pytest.raises(SettingError, match=r"NEURENIX_PLUGIN_AUTOLOAD='no'.*expected one of 1, 0"):
        PluginManager().load_entry_points()


def test_host_fallback_names_its_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURENIX_HOST_FALLBACK", "quiet")
    with pytest.raises(SettingError, match="expected one of warn, silent, error"):
        environment.host_fallback()


def test_backends_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURENIX_BACKENDS", "numpy, cudda")
    with pytest.raises(SettingError, match=r"names 'cudda'.*numpy \(neurenix-core\)"):
        PluginManager().load_entry_points()


def test_the_list_gives_the_order(
    register: Register, undecided: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def register_npu(name: str, priority: int) -> None:
        spec = BackendSpec(name, name, (1, 0), FACTORY, priority)
        register(name, f"acme-{name}", neurenix_register_backends=lambda: [spec])

    monkeypatch.setenv("NEURENIX_BACKENDS", "acme-slow, fast")
    register_npu("fast", 400)
    register_npu("slow", 10)
    assert [str(device) for device in nx.get_available_devices()] == ["slow", "fast", "cpu"]
    assert str(nx.default_device()) == "slow"
    registry.default_device.cache_clear()
    monkeypatch.setenv("NEURENIX_BACKENDS", "numpy, fast")
    register_npu("other", 20)
    assert str(nx.default_device()) == "cpu"
    assert [str(device) for device in nx.get_available_devices()][:2] == ["cpu", "fast"]


@pytest.mark.parametrize("name", ["tpu", "CPU", "cpu:7"])
def test_a_default_device_that_is_not_there(
    name: str, undecided: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEURENIX_DEVICE", name)
    with pytest.raises(DeviceError, match=f"NEURENIX_DEVICE={name}: "):
        nx.ones(1)
    assert nx.ones(1, device="cpu").item() == 1


def test_the_automatic_choice_says_once_what_it_passes_over(
    register: Register, undecided: None
) -> None:
    specs = [
        BackendSpec("bad", "npu", (1, 0), "neurenix_no_such_module:open", 90, install_hint="acme"),
        BackendSpec("odd", "odd", (7, 0), FACTORY, 80),
        BackendSpec("lab", "lab", (1, 0), "neurenix_no_such_module:open", 70, experimental=True),
        BackendSpec("low", "low", (1, 0), "neurenix_no_such_module:open", -1),
    ]
    register(neurenix_register_backends=lambda: specs)
    with pytest.warns(RuntimeWarning, match="the default device is cpu, because") as caught:
        assert str(nx.default_device()) == "cpu"
    (warning,) = caught
    text = str(warning.message)
    assert "'bad' of acme 1.0 is failed: opening it raised ModuleNotFoundError" in text
    assert "To install: acme." in text
    assert "'odd' of acme 1.0 is incompatible: it needs API 7.0, this core has 1.0" in text
    assert "'lab'" not in text
    assert "'low'" not in text
    assert warning.filename == __file__
