"""Probes: what they say, and that a slow one stalls nobody."""

from __future__ import annotations

import threading
import time

import pytest

import neurenix as nx
from neurenix.backends import opening, registry
from neurenix.backends.numpy.backend import NumpyBackend
from neurenix.errors import DeviceError
from neurenix.plugins import BackendSpec, BackendState

from .conftest import Register

FACTORY = f"{NumpyBackend.__module__}:open_backend"
answer = threading.Event()


def slow() -> None:
    answer.wait(30)


def say_no() -> str:
    return "no driver was found."


def declare(register: Register, probe: str, **fields: object) -> opening.BackendRecord:
    spec = BackendSpec("acme", "npu", (1, 0), FACTORY, probe=f"{__name__}:{probe}", **fields)
    register(neurenix_register_backends=lambda: [spec])
    return next(record for record in registry.backend_records() if record.spec.name == "acme")


def test_a_slow_probe_is_passed_over_and_may_answer_later(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer.clear()
    record = declare(register, "slow")
    monkeypatch.setattr(registry, "PROBE_LIMIT_S", 0.05)
    assert [str(device) for device in nx.get_available_devices()] == ["cpu"]
    assert (record.state, record.cause) == (
        BackendState.DECLARED,
        "slow probe: no answer within 0.05 s",
    )
    monkeypatch.setattr(registry, "PROBE_LIMIT_S", opening.PROBE_LIMIT_S)
    started = time.monotonic()
    nx.get_available_devices()  # waits for it once, not at every question
    assert time.monotonic() - started < opening.PROBE_LIMIT_S
    answer.set()
    assert nx.ones(1, device="npu").item() == 1  # by name: patiently
    assert (record.state, record.cause) == (BackendState.OPEN, "")


def test_patience_has_an_end(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    answer.clear()
    declare(register, "slow")
    monkeypatch.setattr(registry, "PATIENCE_S", 0.05)
    with pytest.raises(DeviceError, match=r"slow probe: no answer within 0\.05 s"):
        nx.ones(1, device="npu")
    answer.set()


def test_a_probe_that_says_no(register: Register) -> None:
    record = declare(register, "say_no", install_hint="the driver")
    with pytest.raises(DeviceError, match=r"no driver was found\. To install: the driver\."):
        nx.ones(1, device="npu")
    assert record.state is BackendState.UNAVAILABLE


def test_a_probe_that_is_not_there(register: Register) -> None:
    record = declare(register, "no_such_function")
    with pytest.raises(DeviceError, match="its probe raised AttributeError"):
        nx.ones(1, device="npu")
    assert "Traceback" in record.traceback
