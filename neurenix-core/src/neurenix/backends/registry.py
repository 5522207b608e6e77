"""Which backends there are, which serves a device, and the devices that are open."""

from __future__ import annotations

import os
import threading
import traceback
import warnings
from dataclasses import replace
from functools import cache
from typing import Any

from neurenix.backends.device import Device, DeviceLike, DeviceType
from neurenix.backends.kernel_table import KernelTable
from neurenix.backends.protocol import Backend, DeviceInfo
from neurenix.errors import DeviceError, PluginError
from neurenix.plugins.manager import plugin_manager
from neurenix.plugins.spec import (
    API_VERSION,
    BackendRecord,
    BackendSpec,
    BackendState,
    load_object,
)

CORE_DISTRIBUTION = "neurenix-core"
_lock = threading.RLock()


@cache
def backend_records() -> list[BackendRecord]:
    """Return every declared backend, highest priority first."""
    from neurenix.backends.numpy import plugin as numpy_plugin

    manager = plugin_manager()
    if not manager.is_registered(numpy_plugin):
        manager.register(numpy_plugin, f"numpy ({CORE_DISTRIBUTION})")
    records = []
    for implementation in manager.hook.neurenix_register_backends.get_hookimpls():
        module = getattr(implementation.plugin, "__name__", "")
        distribution = manager.distributions.get(module, CORE_DISTRIBUTION)
        try:
            declared: Any = implementation.function()
            specs: list[BackendSpec] = list(declared)
        except KeyboardInterrupt:
            raise
        except BaseException:  # one plugin's fault must not take the others with it
            manager.broken[implementation.plugin_name] = traceback.format_exc()
            warnings.warn(
                f"the plugin {implementation.plugin_name} failed to declare its backends and is "
                "left out",
                RuntimeWarning,
                stacklevel=2,
            )
            continue
        records += [BackendRecord(replace(spec, distribution=distribution)) for spec in specs]
    records.sort(key=lambda record: -record.spec.priority)
    return records


def open_backend(record: BackendRecord) -> Backend:
    """Return a record's backend, opening it at the first call.

    Raises:
        DeviceError: It cannot be opened; the message has the stored cause and what to install.
    """
    with _lock:
        if record.state is BackendState.DECLARED:
            _probe(record)
        if record.state is BackendState.PROBED:
            _open(record)
    if record.state is not BackendState.OPEN:
        hint = f" To install: {record.spec.install_hint}" if record.spec.install_hint else ""
        raise DeviceError(
            f"the backend {record.spec.name!r} of {record.spec.distribution} is "
            f"{record.state.value}: {record.cause}.{hint}"
        )
    backend: Backend = record.backend
    return backend


def _probe(record: BackendRecord) -> None:
    spec = record.spec
    if spec.api[0] != API_VERSION[0] or spec.api[1] > API_VERSION[1]:
        ours, theirs = (".".join(map(str, version)) for version in (API_VERSION, spec.api))
        _fail(record, BackendState.INCOMPATIBLE, f"it needs API {theirs}, this core has {ours}")
        return
    try:
        reason = load_object(spec.probe)() if spec.probe else None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        _fail(record, BackendState.FAILED, f"its probe raised {error!r}", traceback.format_exc())
        return
    if reason is not None:
        _fail(record, BackendState.UNAVAILABLE, str(reason))
        return
    record.state = BackendState.PROBED


def _open(record: BackendRecord) -> None:
    try:
        backend = load_object(record.spec.factory)()
        if not isinstance(backend, Backend):
            raise PluginError(f"{backend!r} does not have the methods of neurenix's Backend")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        _fail(record, BackendState.FAILED, f"opening it raised {error!r}", traceback.format_exc())
        return
    record.backend, record.state = backend, BackendState.OPEN
    plugin_manager().hook.neurenix_backend_opened.call_historic(kwargs={"record": record})


def _fail(record: BackendRecord, state: BackendState, cause: str, trace: str = "") -> None:
    record.state, record.cause, record.traceback = state, cause, trace
    plugin_manager().hook.neurenix_backend_failed(record=record)


def _candidates(device: Device) -> list[BackendRecord]:
    found = [record for record in backend_records() if record.spec.device_type == device.type]
    if device.distribution is not None:
        found = [r for r in found if r.spec.distribution == device.distribution]
    if not found:
        known = ", ".join(f"{r.spec.device_type}@{r.spec.distribution}" for r in backend_records())
        raise DeviceError(
            f"no backend for the device {str(device)!r} is installed; installed: {known}. "
            f"A backend comes as a package of its own: pip install neurenix-backend-{device.type}"
        )
    return found


def resolve(device: DeviceLike | None = None) -> Device:
    """Return the open device that a name stands for; None stands for the default device.

    Raises:
        DeviceError: No backend serves it, or none of them can be opened.
    """
    if device is None:
        return default_device()
    device = Device(device)
    if device.backend is not None:
        return device
    candidates = _candidates(device)
    errors = []
    for record in candidates:
        try:
            backend = open_backend(record)
        except DeviceError as error:
            errors.append(str(error))
            continue
        return _bind(device, backend, record)
    raise DeviceError(f"the device {str(device)!r} cannot be opened: {' '.join(errors)}")


def _bind(device: Device, backend: Backend, record: BackendRecord) -> Device:
    count = len(backend.devices())
    if device.index >= count:
        raise DeviceError(
            f"{str(device)!r} has index {device.index}, but there are {count} devices of its type"
        )
    if device.distribution is not None:  # the plain name, where it means the same backend
        plain = Device(device.type, device.index)
        if resolve(plain).backend is backend:
            return plain
    with _lock:
        if device.backend is None:
            kernels = dict(backend.kernels())
            given = plugin_manager().hook.neurenix_register_kernels(device_type=str(device.type))
            for extra in reversed(given):
                kernels.update(extra or {})
            device.kernels = KernelTable(kernels)
            device.empty = backend.allocator(device.index)
            device.backend = backend
    return device


def cpu_device() -> Device:
    """Return the preferred device on the host's processor."""
    return resolve(DeviceType.CPU)


@cache
def host_device() -> Device:
    """Return core's own NumPy device, whatever else serves its type."""
    return resolve(f"cpu@{CORE_DISTRIBUTION}")


def available_devices() -> list[tuple[Device, DeviceInfo]]:
    """Return every device that can run a model, the preferred first, with what is known of it.

    Software emulations of hardware are left out, as are experimental backends.
    """
    found: dict[Device, DeviceInfo] = {}
    for record in backend_records():
        if record.spec.experimental:
            continue
        try:
            backend = open_backend(record)
        except DeviceError:
            continue
        for info in backend.devices():
            device = Device(record.spec.device_type, info.index)
            if not info.software and device not in found:
                found[device] = info
    return list(found.items())


def get_available_devices() -> list[Device]:
    """Return every device that can run a model, the preferred first."""
    return [device for device, _ in available_devices()]


@cache
def default_device() -> Device:
    """Return the device of tensors that name none.

    ``NEURENIX_DEVICE`` names it; else a plugin's ``neurenix_select_device`` may choose, else it
    is the first of `get_available_devices`.
    """
    named = os.environ.get("NEURENIX_DEVICE")
    if named:
        return resolve(named)
    available = [str(device) for device in get_available_devices()]
    if not available:  # not even NumPy: say why
        return resolve(host_device())
    chosen = plugin_manager().hook.neurenix_select_device(available=available)
    return resolve(chosen or available[0])
