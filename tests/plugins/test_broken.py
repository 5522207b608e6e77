"""All broken plugins at once: the import works, the CPU works, and each is reported.

Every one of them is a distribution of its own below `broken/`. How long the doctor took is
printed, and asserted nowhere: `pytest -s` shows it.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from plugin_installer import install_broken, run_with

HAS_ENGINE = importlib.util.find_spec("neurenix_backend_cpu") is not None
DOCTOR = "import sys; from neurenix.cli import main; main()"

# The state that each ends in, and what its cause says.
CAUSES = {
    "raises-at-import": ("failed", "RuntimeError: the licence of raises-at-import has run out"),
    "exits-at-import": ("failed", "SystemExit: exits-at-import wants Python 2"),
    "raises-at-probe": ("failed", "its probe raised OSError: libnpu.so.1: cannot open"),
    "raises-at-open": ("failed", "opening it raised RuntimeError: the device is out of memory"),
    "panics-at-open": ("failed", "opening it raised PanicException: called `Option::unwrap()`"),
    "next-major": ("incompatible", "it needs API 2.0, this core has 1.0"),
    "newer-minor": ("incompatible", "it needs API 1.99, this core has 1.0"),
    "duplicate-name": ("disabled", "neurenix-core has a backend of the name 'numpy' too"),
    "slow-probe": ("declared", "slow probe: no answer within 0.5 s"),
}
# These open. What is wrong with the last three, only their results show: the conformance kit
# finds it.
OPEN = ("duplicate-device", "missing-primitive", "wrong-result", "wrong-dtype", "writes-outside")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    assert set(install_broken(folder)) == {*CAUSES, *OPEN}
    return folder


@pytest.fixture(scope="module")
def diagnosis(site: Path) -> dict[str, Any]:
    pytest.importorskip("typer")
    done = run_with(site, "-c", DOCTOR, "doctor", "--json", check=False)
    assert (done.returncode, done.stderr) == (1, "")
    found: dict[str, Any] = json.loads(done.stdout)
    print(f"\nthe doctor took {found['seconds']:.2f} s")  # noqa: T201
    return found


@pytest.fixture(scope="module")
def findings(diagnosis: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f["distribution"].removeprefix("neurenix-broken-"): f for f in diagnosis["findings"]}


def test_the_import_asks_no_plugin(site: Path) -> None:
    run_with(
        site,
        "-W",
        "error",
        "-c",
        "import sys, neurenix\nassert not [m for m in sys.modules if 'broken' in m]",
    )


def test_the_cpu_works(site: Path) -> None:
    done = run_with(
        site,
        "-c",
        "import neurenix as nx\n"
        "x = nx.Tensor([1.0, 2.0], device='cpu', requires_grad=True)\n"
        "(x * x).sum().backward()\n"
        "print(x.grad.tolist(), nx.ones(1).device, nx.get_available_devices())",
    )
    assert done.stdout == "[2.0, 4.0] cpu [Device('cpu')]\n"
    warned = [line for line in done.stderr.splitlines() if "RuntimeWarning" in line]
    left_out, *passed_over = warned
    assert "exits-at-import" in left_out
    assert "raises-at-import" in left_out
    if HAS_ENGINE:  # it is preferred to all that is broken, so that none of it is even tried
        assert passed_over == []
        return
    as_good, default = passed_over
    assert "cpu is served by neurenix-core; of the same priority 0" in as_good
    for name in ("raises-at-probe", "panics-at-open", "newer-minor", "slow-probe"):
        assert f"neurenix-broken-{name}" in default


@pytest.mark.parametrize("name", CAUSES)
def test_the_doctor_tells_the_cause(name: str, findings: dict[str, dict[str, Any]]) -> None:
    state, cause = CAUSES[name]
    finding = findings[name]
    assert finding["state"] == state
    assert cause in finding["cause"]
    assert finding["version"] == "0.1"
    assert finding["advice"]
    if state == "failed":
        assert f"neurenix_broken_{name.replace('-', '_')}" in finding["traceback"]


@pytest.mark.parametrize("name", OPEN)
def test_what_opens_has_devices_and_kernels(name: str, findings: dict[str, dict[str, Any]]) -> None:
    finding = findings[name]
    assert finding["state"] == "open"
    assert [device["name"] for device in finding["devices"]] == [
        "cpu@neurenix-broken-duplicate-device" if "duplicate" in name else name.replace("-", "_")
    ]
    missing = ["maximum"] if name == "missing-primitive" else []
    assert finding["kernels"]["host"] == missing
    assert bool(finding["problems"]) == bool(missing)
    assert "softplus" in finding["kernels"]["decomposed"]
    assert "conv2d" in finding["kernels"]["native"]


def test_the_doctor_sees_the_whole(
    diagnosis: dict[str, Any], findings: dict[str, dict[str, Any]]
) -> None:
    assert diagnosis["default_device"] == "cpu"
    assert not diagnosis["healthy"]
    assert diagnosis["seconds"] > 0
    serving = "neurenix-backend-cpu" if HAS_ENGINE else "neurenix-core"
    assert f"cpu is served by {serving}" in findings["duplicate-device"]["notes"][0]
    core = findings["neurenix-core"]
    assert (core["state"], core["backend"], core["problems"]) == ("open", "numpy", [])


def test_a_backend_asked_for_by_name_says_why_not(site: Path) -> None:
    done = run_with(
        site,
        "-W",
        "ignore",
        "-c",
        "import neurenix as nx\n"
        "for name in ('panics_at_open', 'next_major', 'raises_at_import'):\n"
        "    try:\n"
        "        nx.ones(1, device=name)\n"
        "    except nx.errors.DeviceError as error:\n"
        "        print(error)",
    )
    panic, major, absent = done.stdout.splitlines()
    assert "PanicException" in panic
    assert "upgrade neurenix-core" in major
    assert "raises-at-import (neurenix-broken-raises-at-import) is failed" in absent


def test_what_is_not_listed_is_never_imported(site: Path) -> None:
    run_with(
        site,
        "-W",
        "error",
        "-c",
        "import sys, neurenix as nx\n"
        "nx.ones(1)\n"
        "nx.ones(1, device='wrong_result')\n"
        "found = {m.partition('.')[0] for m in sys.modules if 'broken' in m}\n"
        "assert found == {'neurenix_broken_wrong_result'}, found",
        NEURENIX_BACKENDS="wrong-result",
    )


def test_no_plugin_is_imported_where_autoload_is_off(site: Path) -> None:
    run_with(
        site,
        "-W",
        "error",
        "-c",
        "import sys, neurenix as nx\nnx.ones(1)\n"
        "assert not [m for m in sys.modules if 'broken' in m]",
        NEURENIX_PLUGIN_AUTOLOAD="0",
    )
