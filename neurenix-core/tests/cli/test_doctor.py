"""`neurenix doctor`: for people, for machines, and by its exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from neurenix.backends import DeviceInfo, Kernel, registry
from neurenix.backends.numpy.backend import NumpyBackend
from neurenix.cli.shell import app
from neurenix.plugins import BackendSpec, PluginRecord, hookimpl, plugin_manager

FACTORY = f"{NumpyBackend.__module__}:open_backend"


class Acme:
    """A plugin with a backend, and a kernel for everybody's relu."""

    def __init__(self, **fields: object) -> None:
        self.fields = fields

    @hookimpl
    def neurenix_register_backends(self) -> Iterator[BackendSpec]:
        yield BackendSpec("acme", "npu", **{"api": (1, 0), "factory": FACTORY, **self.fields})

    @hookimpl
    def neurenix_register_kernels(self, device_type: str) -> dict[str, Kernel]:
        return {"relu": Kernel(print), "acme_unknown": Kernel(print)}


@pytest.fixture
def acme(request: pytest.FixtureRequest) -> Iterator[Acme]:
    registry.default_device()
    plugin = Acme(**getattr(request, "param", {}))
    plugin_manager().add(plugin, PluginRecord("acme", "acme", "neurenix-backend-acme", "1.2"))
    yield plugin
    plugin_manager().unregister(plugin)


def test_nothing_is_wrong_with_core_alone(runner: CliRunner) -> None:
    result = runner.invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    assert "Nothing is wrong" in result.stdout
    assert "composed of other ops" in result.stdout
    assert "Tensors that name no device go to cpu." in result.stdout


def test_the_settings_are_shown(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURENIX_HOST_FALLBACK", "error")
    assert "NEURENIX_HOST_FALLBACK=error" in runner.invoke(app, ["doctor"]).stdout


def test_a_setting_that_is_not_understood_is_an_error(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.default_device.cache_clear()
    monkeypatch.setenv("NEURENIX_DEVICE", "tpu")
    result = runner.invoke(app, ["doctor"])
    registry.default_device.cache_clear()
    assert result.exit_code == 1
    assert "NEURENIX_DEVICE=tpu" in result.stdout


class Detailed(NumpyBackend):
    """Two devices, of which there is the same to say."""

    def devices(self) -> list[DeviceInfo]:
        return [DeviceInfo(i, "a device", details={"Some library": "absent"}) for i in range(2)]


@pytest.mark.parametrize("acme", [{"factory": f"{__name__}:Detailed"}], indirect=True)
def test_details_are_shown_once(runner: CliRunner, acme: Acme) -> None:
    result = runner.invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    assert result.stdout.count("Some library: absent") == 1


def test_a_plugin_that_works(runner: CliRunner, acme: Acme) -> None:
    result = runner.invoke(app, ["doctor", "--json"])
    assert result.exit_code == 0, result.output
    found = next(f for f in json.loads(result.stdout)["findings"] if f["backend"] == "acme")
    assert (found["version"], found["api"], found["priority"]) == ("1.2", "1.0", 50)
    assert found["devices"][0]["name"] == "npu"
    assert found["added"]["relu"] == "acme (neurenix-backend-acme)"
    assert found["hooks"] == ["neurenix_register_backends", "neurenix_register_kernels"]
    assert "kernels for ops that there are not: acme_unknown" in found["notes"]
    table = runner.invoke(app, ["doctor"]).stdout
    assert "kernels added by plugins: acme_unknown by acme" in table


@pytest.mark.parametrize(
    ("acme", "state", "code", "advice"),
    [
        ({"factory": "acme_absent:open"}, "failed", 1, "report it to the authors"),
        ({"factory": "acme_absent:open", "install_hint": "x"}, "failed", 1, "install x"),
        ({"api": (1, 7)}, "incompatible", 1, "pip install --upgrade neurenix-core"),
        ({"api": (0, 7)}, "incompatible", 1, "pip install --upgrade neurenix-backend-acme"),
        ({"probe": "os:getcwd", "install_hint": "the driver"}, "unavailable", 0, "the driver"),
    ],
    indirect=["acme"],
)
def test_a_plugin_that_is_of_no_use(
    runner: CliRunner, acme: Acme, state: str, code: int, advice: str
) -> None:
    result = runner.invoke(app, ["doctor", "--traceback"])
    assert result.exit_code == code
    text = " ".join(result.stdout.split())
    assert f"{state}: " in text
    assert f"to do: {advice}" in text or f"install {advice}" in text
    assert ("Traceback" in text) == (state == "failed")
