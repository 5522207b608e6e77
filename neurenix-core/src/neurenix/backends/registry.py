"""The devices: which backend serves each, which are there, and which is the default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from neurenix.backends.device import Device, DeviceLike, DeviceType
from neurenix.backends.kernel_table import KernelTable
from neurenix.backends.opening import (
    PATIENCE_S,
    PROBE_LIMIT_S,
    backend_records,
    checked_kernels,
    explain,
    lock,
    manager_with_numpy,
    open_backend,
    rank,
)
from neurenix.backends.protocol import DeviceInfo, Kernel
from neurenix.errors import DeviceError
from neurenix.plugins import environment
from neurenix.plugins.manager import CORE
from neurenix.plugins.records import BackendRecord, PluginRecord

__all__ = [
    "DLPACK_HOST",
    "added_kernels",
    "available_devices",
    "backend_records",
    "cpu_device",
    "default_device",
    "device_of_dlpack",
    "get_available_devices",
    "host_device",
    "open_backend",
    "record_of",
    "resolve",
    "sharing_device",
]

_bound: dict[Device, BackendRecord] = {}


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
    return _bind(device, _serving(device, PATIENCE_S))


def record_of(device: Device) -> BackendRecord:
    """Return the record of the backend behind an open device.

    Raises:
        DeviceError: The device is not open.
    """
    try:
        return _bound[device]
    except KeyError:
        raise DeviceError(f"the device {device} is not open") from None


# From a name to a backend -----------------------------------------------------------------------


def _serving(device: Device, limit_s: float) -> BackendRecord:
    """Return the open backend for a device's type, and distribution where it names one."""
    passed: list[str] = []
    candidates = _candidates(device)
    for place, record in enumerate(candidates):
        try:
            open_backend(record, limit_s)
        except DeviceError as error:
            passed.append(str(error))
            continue
        if device.distribution is None:
            _say_what_was_passed_over(device, record, passed)
            _say_what_is_as_good(device, record, candidates[place + 1 :])
        return record
    raise DeviceError(f"the device {str(device)!r} cannot be opened: {' '.join(passed)}")


def _candidates(device: Device) -> list[BackendRecord]:
    records = backend_records()
    found = [record for record in records if record.spec.device_type == device.type]
    if device.distribution is not None:
        found = [r for r in found if r.distribution == device.distribution]
    if not found:
        known = ", ".join(f"{r.spec.device_type}@{r.distribution}" for r in records)
        broken = [r for r in manager_with_numpy().records.values() if r.cause]
        because = "".join(f" {r.label} is {r.state.value}: {r.cause}." for r in broken)
        raise DeviceError(
            f"no backend for the device {str(device)!r} is installed; installed: {known}.{because} "
            f"A backend comes as a package of its own: pip install neurenix-backend-{device.type}"
        )
    return found


def _say_what_was_passed_over(device: Device, chosen: BackendRecord, passed: list[str]) -> None:
    if passed:
        manager_with_numpy().warn_once(
            f"{device.type} is served by {chosen.plugin.label}, because {' '.join(passed)}"
        )


def _say_what_is_as_good(
    device: Device, chosen: BackendRecord, others: list[BackendRecord]
) -> None:
    equal = [r.distribution for r in others if r.usable and rank(r) == rank(chosen)]
    if equal:
        manager_with_numpy().warn_once(
            f"{device.type} is served by {chosen.distribution}; of the same priority "
            f"{chosen.spec.priority} for it: {', '.join(equal)}. Choose one by "
            f"{device.type}@{equal[0]} or by {environment.BACKENDS}",
        )


def _bind(device: Device, record: BackendRecord) -> Device:
    """Make a device's name stand for a device of an open backend."""
    count = len(record.devices)
    if device.index >= count:
        raise DeviceError(
            f"{str(device)!r} has index {device.index}, but there are {count} devices of its type"
        )
    if device.distribution is not None:  # the plain name, where it means the same backend
        plain = Device(device.type, device.index)
        if plain.backend is None and _serving(plain, PROBE_LIMIT_S) is record:
            plain = _bind(plain, record)
        if plain.backend is record.backend:
            return plain
    with lock:
        if device.backend is None:
            manager = manager_with_numpy()
            if _plugins_changed not in manager.changed:
                manager.changed.append(_plugins_changed)
            device.kernels = _table(record)
            device.empty = record.backend.allocator(device.index)
            device.backend = record.backend
            _bound[device] = record
    return device


def added_kernels(record: BackendRecord) -> list[tuple[PluginRecord, dict[str, Kernel]]]:
    """Return the kernels that plugins give for a backend's devices, the preferred first."""
    arguments = {"device_type": record.spec.device_type, "backend": record.spec.name}
    hook = "neurenix_register_kernels"
    return [
        (plugin, kernels)
        for plugin, kernels in manager_with_numpy().each(hook, arguments, checked_kernels)
        if kernels
    ]


def _table(record: BackendRecord) -> KernelTable:
    return KernelTable(record.kernels, [kernels for _, kernels in added_kernels(record)])


def _plugins_changed() -> None:
    """Give every open device its kernels anew; forget the devices of plugins that went."""
    with lock:
        present = set(manager_with_numpy().records.values())
        for device, record in list(_bound.items()):
            if record.plugin in present:
                device.kernels = _table(record)
            else:  # tensors on it live on; the name is free
                del _bound[device]
                device.forget()


# Which devices there are ------------------------------------------------------------------------


def _device_types() -> list[DeviceType]:
    """Return the types that have backends which are not experimental, the preferred first."""
    records = [record for record in backend_records() if not record.spec.experimental]
    return list(dict.fromkeys(DeviceType(record.spec.device_type) for record in records))


def _hardware(device_type: DeviceType) -> Iterator[tuple[Device, DeviceInfo]]:
    """Yield the devices of a type, without emulations.

    Raises:
        DeviceError: No backend of the type can be opened.
    """
    record = _serving(Device(device_type), PROBE_LIMIT_S)
    for info in record.devices:
        if not info.software:
            device = Device(device_type, info.index)
            yield device, replace(info, name=str(device))


def available_devices() -> list[tuple[Device, DeviceInfo]]:
    """Return every device that can run a model, the preferred first, with what is known of it.

    Software emulations of hardware are left out, as are experimental backends.
    """
    found: list[tuple[Device, DeviceInfo]] = []
    for device_type in _device_types():
        try:
            found += _hardware(device_type)
        except DeviceError:  # `neurenix devices` and `neurenix doctor` say why
            continue
    return found


def get_available_devices() -> list[Device]:
    """Return every device that can run a model, the preferred first."""
    return [device for device, _ in available_devices()]


@cache
def default_device() -> Device:
    """Return the device of tensors that name none.

    ``NEURENIX_DEVICE`` names it; else a plugin's ``neurenix_select_device`` may choose; else it
    is the first of `get_available_devices`, and a warning tells of those before it that are of
    no use.
    """
    named = environment.device()
    if named is not None:
        try:
            return resolve(named)
        except DeviceError as error:
            raise DeviceError(f"{environment.DEVICE}={named}: {error}") from error
    return _chosen_by_plugin() or _best()


def _chosen_by_plugin() -> Device | None:
    manager = manager_with_numpy()
    backend_records()
    if not manager.hook.neurenix_select_device.get_hookimpls():
        return None  # spares opening every device
    arguments = {"available": [info for _, info in available_devices()]}

    def read(answer: str | None) -> Device | None:
        return None if answer is None else resolve(answer)

    answers = manager.each("neurenix_select_device", arguments, read, first=True)
    return answers[0][1] if answers else None


def _best() -> Device:
    for device_type in _device_types():
        try:
            chosen = next((device for device, _ in _hardware(device_type)), None)
        except DeviceError:
            continue
        if chosen is not None:
            _say_what_came_before(_bind(chosen, _serving(chosen, PROBE_LIMIT_S)))
            return chosen
    return host_device()


def _say_what_came_before(chosen: Device) -> None:
    passed = []
    for record in backend_records():
        if record is _bound[chosen]:
            break
        if record.cause and not record.spec.experimental:
            passed.append(explain(record))
    if passed:
        manager_with_numpy().warn_once(
            f"the default device is {chosen}, because {' '.join(passed)}"
        )


def cpu_device() -> Device:
    """Return the preferred device on the host's processor."""
    return resolve(DeviceType.CPU)


def sharing_device() -> Device:
    """Return the preferred device on the host's processor that computes on NumPy's memory."""
    device = cpu_device()
    return device if hasattr(device.backend, "share_host") else host_device()


DLPACK_HOST = (1, 0)
"""DLPack's number of memory of the host, and its index."""


def device_of_dlpack(lender: tuple[int, int]) -> Device | None:
    """Return the open device that DLPack calls so; None for the host, or where there is none."""
    if lender[0] == DLPACK_HOST[0]:
        return None
    for device, record in _bound.items():
        own = getattr(record.backend, "dlpack_device", None)
        if own is not None and tuple(own(device.index)) == (int(lender[0]), int(lender[1])):
            return device
    return None


@cache
def host_device() -> Device:
    """Return core's own NumPy device, whatever else serves its type."""
    return resolve(f"{DeviceType.CPU}@{CORE.distribution}")
