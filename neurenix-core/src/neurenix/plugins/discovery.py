"""Which plugins are installed, read off the metadata of distributions: nothing is imported.

pluggy's own loader is not used: it stops at the first broken plugin, and drops a second one of
the same name without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from neurenix.plugins.records import BackendState, PluginRecord

if TYPE_CHECKING:
    from importlib_metadata import Distribution, EntryPoint

ENTRY_POINT_GROUP = "neurenix.backends"


def normalize(distribution: str) -> str:
    """Return the normal form of a distribution's name: lower case, with single hyphens."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def installed_plugins() -> list[tuple[PluginRecord, EntryPoint | None]]:
    """Return a record for each entry point, by distribution and name, whatever the path's order.

    Of two distributions of one name the first on the path counts, as for imports. An entry point
    that cannot be read has a record that says so, and None in its place.
    """
    from importlib_metadata import distributions

    seen: set[str] = set()
    found: list[tuple[PluginRecord, EntryPoint | None]] = []
    everything: Iterable[Any] = distributions()
    for distribution in everything:
        # Most distributions are no plugins; this file is all that is read of them.
        if ENTRY_POINT_GROUP not in _entry_points_text(distribution):
            continue
        name = _name(distribution)
        if name not in seen and not _shadowed(name, distribution):
            seen.add(name)
            found += _plugins(name, distribution)
    return sorted(found, key=lambda pair: (pair[0].distribution, pair[0].name))


def _entry_points_text(distribution: Distribution) -> str:
    try:
        return distribution.read_text("entry_points.txt") or ""
    except (OSError, UnicodeDecodeError):
        return ENTRY_POINT_GROUP  # it may be a plugin: reading it again will tell what is wrong


def _name(distribution: Distribution) -> str:
    try:
        name: Any = distribution.name
    except Exception:  # the remains of an installation; what they declare is reported all the same
        name = None
    return normalize(name) if isinstance(name, str) else "unknown"


def _version(distribution: Distribution) -> str:
    try:
        version: Any = distribution.version
    except Exception:  # as above; the version is shown, and nothing depends on it
        version = None
    return version if isinstance(version, str) else ""


def _shadowed(name: str, distribution: Distribution) -> bool:
    """Whether a distribution of this name comes earlier on the path."""
    from importlib_metadata import PackageNotFoundError
    from importlib_metadata import distribution as first_of_name

    try:
        first = first_of_name(name)
    except (PackageNotFoundError, ValueError):
        return False
    return first.locate_file("") != distribution.locate_file("")


def _plugins(
    name: str, distribution: Distribution
) -> Iterator[tuple[PluginRecord, EntryPoint | None]]:
    version = _version(distribution)
    try:
        points = [point for point in distribution.entry_points if point.group == ENTRY_POINT_GROUP]
    except Exception as error:
        record = PluginRecord("entry_points.txt", "", name, version)
        record.fail("reading its entry points", error)
        yield record, None
        return
    for point in points:
        record = PluginRecord(point.name, point.value, name, version)
        try:
            record.module = point.module
        except Exception:
            record.state = BackendState.FAILED
            record.cause = (
                f"its entry point {point.value!r} is not of the form 'package.module' or "
                "'package.module:object'"
            )
            yield record, None
        else:
            yield record, point
