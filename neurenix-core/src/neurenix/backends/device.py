"""Names of devices: ``type[:index][@distribution]``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from neurenix.errors import DeviceError
from neurenix.plugins.discovery import normalize

if TYPE_CHECKING:
    from neurenix.backends.kernel_table import KernelTable
    from neurenix.backends.protocol import Backend

_PATTERN = re.compile(r"(?P<type>[a-z][a-z0-9_]*)(:(?P<index>\d+))?(@(?P<distribution>[\w.-]+))?")


class DeviceType(str):
    """A kind of device. The set is open: ``DeviceType("npu")`` is as good as a constant."""

    __slots__ = ()
    CPU: ClassVar[DeviceType]
    CUDA: ClassVar[DeviceType]
    ROCM: ClassVar[DeviceType]
    WEBGPU: ClassVar[DeviceType]

    def __repr__(self) -> str:
        return f"DeviceType({str(self)!r})"


DeviceType.CPU = DeviceType("cpu")
DeviceType.CUDA = DeviceType("cuda")
DeviceType.ROCM = DeviceType("rocm")
DeviceType.WEBGPU = DeviceType("webgpu")


class Device:
    """One device, named by its type, index and, where it matters, distribution.

    A device of one name is one object: compare with ``is`` or ``==`` as you like. Naming a
    device opens nothing; the first tensor on it does.
    """

    __slots__ = ("backend", "distribution", "empty", "index", "kernels", "type")
    _interned: ClassVar[dict[tuple[str, int, str | None], Device]] = {}

    type: DeviceType
    index: int
    distribution: str | None
    # The three below are set by the registry when the device is opened.
    backend: Backend | None
    kernels: KernelTable
    empty: Callable[..., Any]

    def __new__(cls, name: DeviceLike, index: int | None = None) -> Device:
        """Return the one device of a name.

        Args:
            name: ``"cuda"``, ``"cuda:1"``, ``"cpu@neurenix-core"``, a `DeviceType`, or a `Device`.
            index: The device's index, unless the name has one.

        Raises:
            DeviceError: The name is malformed.
        """
        if isinstance(name, Device):
            if index is None or index == name.index:
                return name
            key: tuple[str, int, str | None] = (name.type, index, name.distribution)
        else:
            key = _parse(name, index)
        device = cls._interned.get(key)
        if device is None:
            device = object.__new__(cls)
            device.type = DeviceType(key[0])
            device.index, device.distribution = key[1:]
            device.backend = None
            device = cls._interned.setdefault(key, device)
        return device

    def forget(self) -> None:
        """Free the name: another device may have it from now on."""
        self._interned.pop((self.type, self.index, self.distribution), None)

    def __str__(self) -> str:
        index = f":{self.index}" if self.index else ""
        return self.type + index + (f"@{self.distribution}" if self.distribution else "")

    def __repr__(self) -> str:
        return f"Device({str(self)!r})"

    def __copy__(self) -> Device:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Device:
        return self

    def __reduce__(self) -> Any:
        return Device, (str(self),)


DeviceLike: TypeAlias = Device | DeviceType | str


def _parse(name: str, index: int | None) -> tuple[str, int, str | None]:
    match = _PATTERN.fullmatch(name)
    if match is None:
        raise DeviceError(
            f"{name!r} is not the name of a device; expected type[:index][@distribution], "
            "such as 'cpu', 'cuda:1' or 'cpu@neurenix-core'"
        )
    stated = int(match["index"]) if match["index"] else None
    if stated is not None and index is not None and stated != index:
        raise DeviceError(f"{name!r} names index {stated}, but index={index} was given too")
    number = stated if stated is not None else (index or 0)
    return match["type"], number, match["distribution"] and normalize(match["distribution"])
