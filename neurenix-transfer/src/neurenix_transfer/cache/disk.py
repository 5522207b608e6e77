"""Features on disk: shards in a folder a set of weights, reused by later runs and processes.

Several processes may use the folder at once: each adds shards of its own names, none is ever
changed, and one that is removed stays readable to whoever has mapped it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from neurenix.io import home_folder
from neurenix_transfer.cache.shard import SUFFIX, Shard, ShardError, Stored, write_shard

DISK_LIMIT_BYTES = 10 << 30
"""What all features on disk may take, unless ``NEURENIX_CACHE_BYTES`` says otherwise."""

_SHARD_BYTES = 32 << 20  # what a killed process may lose; smaller files cost more to open
_STALE_SECONDS = 3600.0  # a temporary file that old belongs to a process that was killed

Say: TypeAlias = Callable[[str], None]


def features_folder() -> Path:
    """Return the folder of all features: ``$NEURENIX_HOME/features``."""
    return home_folder() / "features"


def disk_limit_bytes() -> int:
    """Return what all features on disk may take.

    Raises:
        ValueError: ``NEURENIX_CACHE_BYTES`` is no whole number.
    """
    text = os.environ.get("NEURENIX_CACHE_BYTES")
    if not text:
        return DISK_LIMIT_BYTES
    if not text.isdecimal():
        raise ValueError(f"NEURENIX_CACHE_BYTES is a number of bytes, not {text!r}")
    return int(text)


@dataclass
class DiskStore:
    """The features that one set of weights gives.

    Attributes:
        root: The folder of all features.
        space: The name of the folder for these weights.
        limit_bytes: What ``root`` may hold.
        about: What the features are of, in plain data.
        say: Prints a line.
        failed: Whether writing was given up.
    """

    root: Path
    space: str
    limit_bytes: int
    about: Any
    say: Say
    failed: bool = False
    _shards: dict[Path, Shard] = field(default_factory=dict)
    _places: dict[str, list[tuple[Shard, int]]] = field(default_factory=dict)
    _pending: dict[str, list[Stored]] = field(default_factory=dict)
    _pending_bytes: int = 0
    _used: set[Path] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        """The folder for these weights."""
        return self.root / self.space

    def refresh(self) -> None:
        """Take in shards that are new since, this process's own or another's."""
        for path in shards_in(self.folder):
            if path in self._shards:
                continue
            try:
                shard = Shard(path)
            except ShardError as error:
                self.say(f"Feature cache: {error}; it is removed")
                with suppress(OSError):
                    path.unlink()
                continue
            except (OSError, ValueError):  # gone, or not ours to read
                continue
            self._shards[path] = shard
            for place, key in shard.keys.items():
                self._places.setdefault(key, []).append((shard, place))

    def find(self, key: str, fits: Callable[[Stored], bool]) -> Stored | None:
        """Return what is stored of a sample, if it is there.

        Args:
            key: What names the sample.
            fits: Whether what was found is of the graph that is wanted.
        """
        for stored in self._pending.get(key, ()):
            if fits(stored):
                return stored
        for shard, place in list(self._places.get(key, ())):
            try:
                stored = shard.read(place)
            except (ShardError, ValueError, OSError) as error:
                self._places[key].remove((shard, place))
                self.say(f"Feature cache: {error}; the sample is computed again")
                continue
            if fits(stored):
                self._touch(shard.path)
                return stored
        return None

    def put(self, key: str, stored: Stored) -> bool:
        """Take features in, to be written with others; False where nothing is written any more."""
        if self.failed:
            return False
        self._pending.setdefault(key, []).append(stored)
        self._pending_bytes += stored.features.nbytes
        return True

    @property
    def has_any(self) -> bool:
        """Whether there are features of any sample."""
        return bool(self._places)

    @property
    def is_due(self) -> bool:
        """Whether so much is waiting that it should be written."""
        return self._pending_bytes >= _SHARD_BYTES

    def flush(self) -> list[tuple[str, Stored]]:
        """Write what is waiting. Where that fails, it is said, and no more is written.

        Returns:
            What could not be written.
        """
        entries = [(key, each) for key, list_ in self._pending.items() for each in list_]
        if not entries:
            return []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self._make_room(self._pending_bytes):
                self.failed = True
                self.say(
                    f"Feature cache: the limit of {shown_bytes(self.limit_bytes)} on disk is "
                    "reached; what is not cached yet is computed each time"
                )
            else:
                path = write_shard(self.folder, entries, self.about)
                self._used.add(path)
        except OSError as error:
            self.failed = True
            self.say(
                f"Feature cache: {self.root} cannot be written ({error.strerror or error}); "
                "going on without it"
            )
        self._pending = {}
        self._pending_bytes = 0
        self.refresh()
        return entries if self.failed else []

    def _touch(self, path: Path) -> None:
        """Note, once a run, that a shard is in use: the oldest are removed first."""
        if path not in self._used:
            self._used.add(path)
            with suppress(OSError):
                os.utime(path)

    def _make_room(self, nbytes: int) -> bool:
        """Remove the oldest shards that this run does not use, until so many bytes fit."""
        shards = []
        for path in _all_shards(self.root):
            with suppress(OSError):
                status = path.stat()
                shards.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in shards)
        for _, size, path in sorted(shards):
            if total + nbytes <= self.limit_bytes:
                break
            if path not in self._used:
                with suppress(OSError):
                    path.unlink()
                    total -= size
        return total + nbytes <= self.limit_bytes


def clear_features(root: Path, spaces: list[str] | None = None) -> int:
    """Remove features, and what killed processes left of files; return the bytes freed.

    Args:
        root: The folder of all features.
        spaces: The folders in it to clear; None for all.
    """
    freed = 0
    for folder in folders_of(root):
        if spaces is not None and folder.name not in spaces:
            continue
        for path in [*shards_in(folder), *folder.glob(".neurenix-*.tmp")]:
            with suppress(OSError):
                size = path.stat().st_size
                path.unlink()
                freed += size
        with suppress(OSError):
            folder.rmdir()
    return freed


def remove_stale(root: Path) -> None:
    """Remove what killed processes left of files that they were writing."""
    for folder in folders_of(root):
        for path in folder.glob(".neurenix-*.tmp"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()


def shown_bytes(nbytes: float) -> str:
    """Return a number of bytes as people write it."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if nbytes >= factor:
            return f"{nbytes / factor:.1f} {unit}"
    return f"{nbytes:.0f} bytes"


def folders_of(root: Path) -> list[Path]:
    """Return the folders of features, one a set of weights; none where there is no such place."""
    try:
        return sorted(path for path in root.iterdir() if path.is_dir())
    except OSError:
        return []


def shards_in(folder: Path) -> list[Path]:
    """Return the shards in a folder."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)
    except OSError:
        return []


def _all_shards(root: Path) -> Iterator[Path]:
    for folder in folders_of(root):
        yield from shards_in(folder)
