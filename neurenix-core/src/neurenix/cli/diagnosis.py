"""What ``neurenix doctor`` finds out about plugins, backends and devices."""

from __future__ import annotations

import os
import platform
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurenix._version import __version__
from neurenix.backends import registry
from neurenix.backends.opening import probe
from neurenix.errors import DeviceError
from neurenix.ops.custom import custom_ops
from neurenix.ops.op import OPS
from neurenix.ops.resolution import resolution
from neurenix.plugins import environment
from neurenix.plugins.manager import CORE, plugin_manager
from neurenix.plugins.records import BackendRecord, BackendState, PluginRecord
from neurenix.plugins.spec import API_VERSION

VARIABLES = (
    environment.DEVICE,
    environment.BACKENDS,
    environment.AUTOLOAD,
    environment.HOST_FALLBACK,
)
_ILL = (BackendState.FAILED, BackendState.INCOMPATIBLE)


@dataclass
class Finding:
    """What was found out about one backend, or about a plugin that declares none.

    Attributes:
        plugin: The name of the plugin's entry point.
        distribution: The distribution it comes with.
        version: That distribution's version.
        state: How far it got; see `neurenix.plugins.BackendState`.
        cause: Why it is of no use.
        backend: The backend's name; empty for a plugin that declares none.
        device_type: The type of its devices.
        api: The version of the protocol that it was written for.
        priority: The backend's priority.
        devices: Its devices, each with name, description and memory.
        kernels: Way to the names of the ops: native, decomposed, host.
        added: Kernels that other plugins add: op to plugin.
        hooks: The hooks that the plugin implements.
        problems: What is wrong with it, apart from the cause; sentences.
        notes: What is worth knowing; sentences.
        advice: What to do about it.
        traceback: Where it failed.
    """

    plugin: str
    distribution: str
    version: str
    state: str
    cause: str = ""
    backend: str = ""
    device_type: str = ""
    api: str = ""
    priority: int | None = None
    devices: list[dict[str, Any]] = field(default_factory=list)
    kernels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    added: dict[str, str] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    advice: str = ""
    traceback: str = ""


@dataclass
class Diagnosis:
    """The state of an installation.

    Attributes:
        core: Versions of core, of its API, of Python and NumPy, and the platform.
        settings: The environment variables that are set.
        default_device: The device of tensors that name none; empty where there is none.
        problems: What is wrong apart from the findings; sentences.
        findings: One a backend, and one a plugin that has none.
        seconds: How long the diagnosis took.
        healthy: Nothing is wrong.
    """

    core: dict[str, str]
    settings: dict[str, str]
    default_device: str = ""
    problems: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    healthy: bool = True


def diagnose(wait_s: float = 0.5) -> Diagnosis:
    """Load every plugin, probe and open every backend, and say what became of each.

    Args:
        wait_s: How long the probes may take, all at once.
    """
    started = time.perf_counter()
    diagnosis = Diagnosis(
        core={
            "neurenix-core": __version__,
            "api": _version(API_VERSION),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "platform": platform.platform(terse=True),
        },
        settings={name: os.environ[name] for name in VARIABLES if os.environ.get(name)},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is in the report
        records = registry.backend_records()
        probe(records, wait_s)
        for record in records:
            if record.state is BackendState.PROBED:
                _open(record)
        custom_ops()
        try:
            diagnosis.default_device = str(registry.default_device())
        except DeviceError as error:
            diagnosis.problems.append(str(error))
        diagnosis.findings += [_backend(record) for record in records]
        declaring = {record.plugin for record in records}
        diagnosis.findings += [
            _plugin(plugin)
            for plugin in plugin_manager().records.values()
            if plugin not in declaring or plugin.state is BackendState.FAILED
        ]
    diagnosis.healthy = not diagnosis.problems and not any(map(is_ill, diagnosis.findings))
    diagnosis.seconds = time.perf_counter() - started
    return diagnosis


def is_ill(finding: Finding) -> bool:
    """Whether something is wrong, as opposed to absent or switched off."""
    return bool(finding.problems) or finding.state in {state.value for state in _ILL}


def _version(pair: tuple[int, int]) -> str:
    return ".".join(map(str, pair))


def _open(record: BackendRecord) -> None:
    try:
        registry.open_backend(record)
    except DeviceError:
        return  # the record has the cause


def _plugin(plugin: PluginRecord) -> Finding:
    finding = Finding(
        plugin.name,
        plugin.distribution,
        plugin.version,
        plugin.state.value,
        plugin.cause,
        hooks=plugin.hooks,
        traceback=plugin.traceback,
    )
    if plugin.state is BackendState.FAILED:
        finding.advice = (
            f"install another version of {plugin.distribution}, or uninstall it; "
            "`neurenix doctor --traceback` shows where it failed"
        )
    elif plugin.state is BackendState.DISABLED:
        variable = next(name for name in VARIABLES if name in plugin.cause)
        finding.advice = f"unset {variable} to load it"
    return finding


def _backend(record: BackendRecord) -> Finding:
    spec = record.spec
    finding = Finding(
        record.plugin.name,
        record.distribution,
        record.version,
        record.state.value,
        record.cause,
        backend=spec.name,
        device_type=spec.device_type,
        api=_version(spec.api),
        priority=spec.priority,
        hooks=record.plugin.hooks,
        traceback=record.traceback,
    )
    if spec.experimental:
        finding.notes.append(f"experimental: used only when {spec.device_type} is asked for")
    if record.state is BackendState.OPEN:
        _look_into(record, finding)
    elif record.state is BackendState.DECLARED:
        finding.problems.append("it is passed over until its probe answers")
        finding.advice = (
            f"ask for {spec.device_type!r} by name, which waits longer, or leave it out with "
            f"{environment.BACKENDS}"
        )
    elif record.state is BackendState.DISABLED:
        finding.problems.append("of two backends with one name, only one can be used")
        finding.advice = f"uninstall {record.distribution}, or the other"
    elif record.state is BackendState.INCOMPATIBLE:
        older = record.distribution if spec.api < API_VERSION else CORE.distribution
        finding.advice = f"pip install --upgrade {older}"
    elif record.state is BackendState.UNAVAILABLE:
        finding.advice = spec.install_hint and f"install {spec.install_hint}"
    elif record.state is BackendState.FAILED:
        finding.advice = (
            f"install {spec.install_hint}"
            if spec.install_hint
            else f"report it to the authors of "
            f"{record.distribution} with what `neurenix doctor --traceback` shows"
        )
    return finding


def _look_into(record: BackendRecord, finding: Finding) -> None:
    """Add what an open backend has: devices, kernels, and who else serves its type."""
    name, own = record.spec.device_type, record.distribution
    serving = _serving(name)
    if serving is not record:
        finding.notes.append(
            f"{name} is served by {serving.distribution}; this one is {name}@{own}"
        )
    for info in record.devices:
        device = f"{name}:{info.index}" if info.index else name
        finding.devices.append(
            {
                "name": device if serving is record else f"{device}@{own}",
                "description": info.description,
                "memory_bytes": info.memory_bytes,
                "software": info.software,
                "details": {str(key): str(value) for key, value in info.details.items()},
            }
        )
    for plugin, given in reversed(registry.added_kernels(record)):
        finding.added.update(dict.fromkeys(given, plugin.label))
    kernels = {*record.kernels, *finding.added}
    finding.kernels = {str(way): names for way, names in resolution(kernels).items()}
    unknown = sorted(kernels - OPS.keys())
    if unknown:
        finding.notes.append(f"kernels for ops that there are not: {', '.join(unknown)}")
    if finding.kernels["host"]:
        finding.problems.append(
            "primitives without a kernel, which run on the host, with copies: "
            + ", ".join(finding.kernels["host"])
        )
        finding.advice = (
            f"a newer {own} may have them; {environment.HOST_FALLBACK}=error forbids it"
        )


def _serving(device_type: str) -> BackendRecord:
    """Return the backend that a device type stands for: the first that is open."""
    return next(
        record
        for record in registry.backend_records()
        if record.spec.device_type == device_type and record.state is BackendState.OPEN
    )
