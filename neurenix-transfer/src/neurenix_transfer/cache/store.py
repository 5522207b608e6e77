"""Where features are kept: in memory up to a budget, and on disk."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

import neurenix
from neurenix.backends.device import Device
from neurenix.graph import PrecisionName
from neurenix_transfer.cache.disk import (
    DiskStore,
    Say,
    disk_limit_bytes,
    features_folder,
    remove_stale,
    shown_bytes,
)
from neurenix_transfer.cache.shard import Stored

CacheMode: TypeAlias = Literal["auto", "off", "memory", "disk"]
CACHE_MODES: tuple[CacheMode, ...] = get_args(CacheMode)

_MEMORY_SHARE = 4
"""By default features may take this part of the machine's memory."""

_FALLBACK_BYTES = 1 << 30  # where the machine does not say how much memory it has

# What the libraries of linear algebra read: the bits of a sum may depend on the threads.
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


def default_memory_bytes() -> int:
    """Return the default budget: a quarter of the machine's memory."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on every system
        return _FALLBACK_BYTES
    return total // _MEMORY_SHARE


def environment(device: Device) -> str:
    """Return what else the bits of features depend on, besides graph, weights and samples."""
    backend = type(device.backend).__module__.partition(".")[0]
    version = getattr(sys.modules.get(backend), "__version__", "")
    threads = [f"{name}={os.environ.get(name, '')}" for name in _THREADS]
    parts = (
        str(device),
        backend,
        str(version),
        neurenix.__version__,
        np.__version__,
        platform.machine(),
        platform.processor(),
        str(os.cpu_count()),
        *threads,
    )
    return "|".join(parts)


def space_of(weights: str, device: Device, precision: PrecisionName = "float32") -> str:
    """Return the name of the folder for certain weights on a device, in a precision."""
    text = f"{weights}|{environment(device)}"
    if precision != "float32":
        text += f"|{precision}"
    return blake2b(text.encode(), digest_size=12).hexdigest()


@dataclass
class _Space:
    memory: dict[str, list[Stored]] = field(default_factory=dict)
    nbytes: int = 0
    disk: DiskStore | None = None


class FeatureStore:
    """Keeps features by the weights that gave them and the samples they are of.

    ``"memory"`` keeps them in memory, ``"disk"`` on disk; ``"auto"`` in memory, beyond the budget
    on disk, and it reads what is on disk already. What fits nowhere is not kept, which is said.

    Args:
        mode: Where; anything but ``"off"``.
        budget_bytes: What features may take: on disk for ``"disk"``, else in memory. None for the
            default.
        say: Prints a line.

    Attributes:
        mode: The same.
        memory_bytes: The budget of memory.
        disk_bytes: The limit of the disk.
    """

    def __init__(self, mode: CacheMode, budget_bytes: int | None, say: Say) -> None:
        self.mode = mode
        self._say = say
        memory, disk = default_memory_bytes(), disk_limit_bytes()
        if budget_bytes is not None:
            memory, disk = (memory, budget_bytes) if mode == "disk" else (budget_bytes, disk)
        self.memory_bytes, self.disk_bytes = memory, disk
        self.overflowed = False
        self._spaces: dict[str, _Space] = {}
        if mode != "memory":
            remove_stale(features_folder())

    @property
    def nbytes(self) -> int:
        """The bytes that features take in memory."""
        return sum(space.nbytes for space in self._spaces.values())

    @property
    def uses_disk(self) -> bool:
        """Whether features may come from, or go to, the disk."""
        return self.mode != "memory"

    def open(self, space: str, about: Any) -> None:
        """Take features of some weights up, or see what other processes have added."""
        known = self._spaces.setdefault(space, _Space())
        if self.uses_disk and known.disk is None:
            known.disk = DiskStore(features_folder(), space, self.disk_bytes, about, self._say)
        if known.disk is not None:
            known.disk.refresh()

    def keep_only(self, spaces: set[str]) -> None:
        """Free the memory of features of other weights than these."""
        for name in [name for name in self._spaces if name not in spaces]:
            self._flush(self._spaces[name])
            del self._spaces[name]

    def find(self, space: str, key: str, fits: Callable[[Stored], bool]) -> Stored | None:
        """Return the features of a sample, or None."""
        known = self._spaces[space]
        for stored in known.memory.get(key, ()):
            if fits(stored):
                return stored
        return None if known.disk is None else known.disk.find(key, fits)

    def put(self, space: str, key: str, stored: Stored, *, lasting: bool) -> None:
        """Keep the features of a sample.

        Args:
            space: The weights that gave them.
            key: What names the sample.
            stored: The features.
            lasting: Whether the key names the sample beyond this run, so that the disk may do.
        """
        known = self._spaces[space]
        disk = known.disk if lasting else None
        if disk is None or self.mode != "disk" or disk.failed:
            if self._remember(known, key, stored):
                return
            if disk is None or self.mode == "disk":
                self._overflow()
                return
        if not disk.put(key, stored):
            self._overflow()
        elif disk.is_due:
            self._flush(known)

    def flush(self) -> None:
        """Write what is waiting for the disk."""
        for known in self._spaces.values():
            self._flush(known)

    def _flush(self, known: _Space) -> None:
        if known.disk is not None:
            for key, stored in known.disk.flush():
                self._remember(known, key, stored)

    def _remember(self, known: _Space, key: str, stored: Stored) -> bool:
        if self.nbytes + stored.features.nbytes > self.memory_bytes:
            return False
        known.memory.setdefault(key, []).append(stored)
        known.nbytes += stored.features.nbytes
        return True

    def _overflow(self) -> None:
        if not self.overflowed:
            self.overflowed = True
            self._say(
                f"Feature cache: the budget of {shown_bytes(self.memory_bytes)} is used up; what "
                "is not cached yet is computed each time. cache_bytes= raises it, "
                'cache="disk" uses the disk'
            )
