"""The declared backends, and the way of each: declared, probed, open, or of no use and why."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from neurenix.backends.protocol import Backend, DeviceInfo, Kernel
from neurenix.errors import DeviceError, PluginError
from neurenix.plugins import environment
from neurenix.plugins.manager import CORE, PluginManager, place_among, plugin_manager
from neurenix.plugins.probe import Probe
from neurenix.plugins.records import BackendRecord, BackendState, PluginRecord, describe
from neurenix.plugins.spec import API_VERSION, BackendSpec, load_object

PROBE_LIMIT_S = 2.0
"""How long an automatic choice waits for a probe: those that keep the rules take milliseconds."""
PATIENCE_S = 30.0
"""How long the answer may take where the device was asked for by name."""

lock = threading.RLock()
"""Held where records or devices change."""

_records: list[BackendRecord] = []
_asked: set[PluginRecord] = set()  # the plugins that have declared their backends


def manager_with_numpy() -> PluginManager:
    """Return the plugin manager, in which NumPy is registered as any other plugin."""
    from neurenix.backends.numpy import plugin as numpy_plugin

    manager = plugin_manager()
    with lock:
        if not manager.is_registered(numpy_plugin):
            environment.host_fallback()  # a wrong value is found now, not at the first fallback
            manager.add(numpy_plugin, CORE)
    return manager


def backend_records() -> list[BackendRecord]:
    """Return every declared backend, the preferred first.

    The order: what ``NEURENIX_BACKENDS`` lists, as it stands there; what is not experimental; the
    higher priority; core's; the distribution's name.
    """
    manager = manager_with_numpy()
    with lock:
        present = set(manager.records.values())
        _records[:] = [record for record in _records if record.plugin in present]
        _asked.intersection_update(present)
        new = present - _asked
        if new:
            _asked.update(new)
            labels = {plugin.label for plugin in new}
            declared = manager.each("neurenix_register_backends", {}, _specs, among=labels)
            fresh = [
                BackendRecord(replace(spec, distribution=plugin.distribution), plugin)
                for plugin, specs in declared
                for spec in specs
            ]
            fresh.sort(key=lambda record: (record.plugin is not CORE, *_order(record)))
            for record in fresh:
                _name(record)
            _records.sort(key=_order)
        return list(_records)


def _specs(declared: Any) -> list[BackendSpec]:
    specs: list[Any] = list(() if declared is None else declared)
    for spec in specs:
        if not isinstance(spec, BackendSpec):
            raise PluginError(f"{spec!r} is no BackendSpec")
    return specs


def rank(record: BackendRecord) -> tuple[Any, ...]:
    """Return what the user and the plugin say of a backend's place; the lower, the better."""
    allowed = environment.allowed_backends() or ()
    place = place_among(allowed, record.plugin)
    spec = record.spec
    return (len(allowed) if place is None else place, spec.experimental, -spec.priority)


def _order(record: BackendRecord) -> tuple[Any, ...]:
    return (*rank(record), record.plugin is not CORE, record.distribution, record.spec.name)


def _name(record: BackendRecord) -> None:
    """Add a record, unless an earlier one has its name: that is the one which keeps it."""
    name = record.spec.name
    owner = next((r for r in _records if r.spec.name == name and r.usable), None)
    if owner is not None:
        record.state = BackendState.DISABLED
        record.cause = f"{owner.distribution} has a backend of the name {name!r} too; " + (
            "core's names are its own"
            if owner.plugin is CORE
            else "uninstall one of the two distributions, or list the wanted one in "
            f"{environment.BACKENDS}"
        )
    _records.append(record)


# Probing ----------------------------------------------------------------------------------------


def probe(records: Iterable[BackendRecord], limit_s: float) -> None:
    """Probe backends that are declared, all at once.

    Args:
        records: The backends; those that are further already are left alone.
        limit_s: For how long each may run. One that takes longer stays declared, and says so.
    """
    started = []
    with lock:
        for record in records:
            if record.state is BackendState.DECLARED and _compatible(record):
                if record.spec.probe is None:
                    record.state = BackendState.PROBED
                    continue
                if record.probe is None:
                    record.probe = Probe(record.spec.probe)
                started.append((record, record.probe))
        for record, call in started:
            _conclude(record, call, limit_s)


def _compatible(record: BackendRecord) -> bool:
    api = record.spec.api
    if api[0] == API_VERSION[0] and api[1] <= API_VERSION[1]:
        return True
    ours, theirs = (".".join(map(str, version)) for version in (API_VERSION, api))
    older = record.distribution if api < API_VERSION else CORE.distribution
    _fail(
        record,
        BackendState.INCOMPATIBLE,
        f"it needs API {theirs}, this core has {ours}; upgrade {older}",
    )
    return False


def _conclude(record: BackendRecord, call: Probe, limit_s: float) -> None:
    known_slow = record.cause != "" and limit_s <= PROBE_LIMIT_S  # automatic choices wait once
    if not call.finished(0.0 if known_slow else limit_s):
        if not known_slow:
            record.cause = f"slow probe: no answer within {limit_s:g} s"
        return
    record.cause = ""
    if isinstance(call.error, KeyboardInterrupt):
        record.probe = None
        raise call.error
    if call.error is not None:
        cause = f"its probe raised {describe(call.error)}"
        _fail(record, BackendState.FAILED, cause, call.traceback)
    elif call.reason is not None:
        _fail(record, BackendState.UNAVAILABLE, str(call.reason))
    else:
        record.state = BackendState.PROBED


# Opening ----------------------------------------------------------------------------------------


def open_backend(record: BackendRecord, limit_s: float = PATIENCE_S) -> Backend:
    """Return a record's backend, opening it at the first call.

    Args:
        record: The backend's record.
        limit_s: How long its probe may take.

    Raises:
        DeviceError: It cannot be opened; the message has the stored cause and what to install.
    """
    with lock:
        probe([record], limit_s)
        if record.state is BackendState.PROBED:
            _open(record)
    if record.state is not BackendState.OPEN:
        raise DeviceError(explain(record))
    backend: Backend = record.backend
    return backend


def explain(record: BackendRecord) -> str:
    """Return in one sentence why a backend is of no use, and what to install."""
    spec = record.spec
    hint = f" To install: {spec.install_hint}." if spec.install_hint else ""
    origin = f"{record.distribution} {record.version}".rstrip()
    return f"the backend {spec.name!r} of {origin} is {record.state.value}: {record.cause}.{hint}"


def _open(record: BackendRecord) -> None:
    try:
        backend = load_object(record.spec.factory)()
        if not isinstance(backend, Backend):
            raise PluginError(f"{backend!r} does not have the methods of neurenix's Backend")
        devices, kernels = _devices(backend), _kernels(backend)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may call sys.exit, or panic in native code
        cause = f"opening it raised {describe(error)}"
        _fail(record, BackendState.FAILED, cause, traceback.format_exc())
        return
    if not devices:
        _fail(record, BackendState.UNAVAILABLE, "it has found no device")
        return
    record.backend, record.devices, record.kernels = backend, devices, kernels
    record.state = BackendState.OPEN
    plugin_manager().tell("neurenix_backend_opened", record)


def _devices(backend: Backend) -> tuple[DeviceInfo, ...]:
    devices: tuple[Any, ...] = tuple(backend.devices())  # a plugin's: to be checked
    for place, info in enumerate(devices):
        if not isinstance(info, DeviceInfo) or info.index != place:
            raise PluginError(f"its device {place} is described by {info!r}")
    return devices


def _kernels(backend: Backend) -> dict[str, Kernel]:
    kernels = checked_kernels(backend.kernels())
    if "copy" not in kernels:
        raise PluginError("it has no kernel 'copy', without which no tensor can be moved")
    return kernels


def checked_kernels(given: Any) -> dict[str, Kernel]:
    """Return kernels by the names of ops, once that is what they are.

    Raises:
        PluginError: They are something else.
    """
    kernels: dict[Any, Any] = dict(() if given is None else given)
    for name, kernel in kernels.items():
        if not (isinstance(name, str) and isinstance(kernel, Kernel)):
            raise PluginError(
                f"a kernel is a Kernel by the name of an op, not {name!r}: {kernel!r}"
            )
    return kernels


def _fail(record: BackendRecord, state: BackendState, cause: str, trace: str = "") -> None:
    record.state, record.cause, record.traceback = state, cause.rstrip("."), trace
    plugin_manager().tell("neurenix_backend_failed", record)
