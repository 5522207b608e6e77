"""What models can be exported to: exporters of other distributions.

They are found through the entry-point group ``neurenix.exporters``, whose names are what stands
after ``neurenix export DIR --to``::

    [project.entry-points."neurenix.exporters"]
    web = "neurenix_backend_webgpu.web:export_web"

An exporter is called as ``exporter(model, folder, **facts)``: a `Module` in eval mode that takes
(1, 3, crop, crop) and gives (1, classes) logits, the folder to write, and ``classes``,
``preprocessing``, ``base``, ``temperature``, ``min_confidence``, ``title``, ``licence`` and
``overwrite``. What it cannot export it refuses with a `NeurenixError` before it writes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from neurenix.errors import MissingDependencyError, NeurenixError, PluginError

ENTRY_POINT_GROUP = "neurenix.exporters"

Exporter: TypeAlias = Callable[..., None]

# The distributions that bring an exporter, for those who have not installed them.
_HOMES = {"web": "neurenix-backend-webgpu"}


class UnknownTargetError(NeurenixError, ValueError):
    """A target that no exporter writes."""


def find_exporter(target: str) -> Exporter:
    """Return the exporter that writes a target.

    Raises:
        MissingDependencyError: Its distribution is not installed.
        UnknownTargetError: There is none of that name.
        PluginError: It cannot be imported.
    """
    found = {point.name: point for point in _declared()}
    if target in found:
        return _load(found[target])
    if target in _HOMES:
        home = _HOMES[target]
        raise MissingDependencyError(
            f"exporting to {target!r} needs the package {home!r}, which is not installed. Install "
            f"it: pip install {home}"
        )
    known = ", ".join(sorted({*found, *_HOMES}))
    raise UnknownTargetError(f"nothing exports to {target!r}; there is {known}")


def _declared() -> Iterable[Any]:
    from importlib_metadata import entry_points

    declared: Iterable[Any] = entry_points(group=ENTRY_POINT_GROUP)
    return declared


def _load(point: Any) -> Exporter:
    try:
        exporter: Exporter = point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may call sys.exit, or panic in native code
        distribution = point.dist.name if point.dist else "an unknown distribution"
        raise PluginError(
            f"the exporter {point.name!r} of {distribution} cannot be loaded from {point.value!r}: "
            f"{type(error).__name__}: {error}. Reinstall it: pip install --force-reinstall "
            f"{distribution}"
        ) from error
    return exporter
