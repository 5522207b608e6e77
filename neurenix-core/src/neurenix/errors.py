"""Exceptions that Neurenix raises, and the import of optional dependencies.

Every error states what was expected, what came and what to do. Errors that also belong to a
standard category inherit from it, so that ``except ValueError`` works as one would hope.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class NeurenixError(Exception):
    """Root of the errors that Neurenix raises on purpose."""


class ShapeError(NeurenixError, ValueError):
    """Shapes, axes or sizes that do not fit together."""


class DTypeError(NeurenixError, TypeError):
    """A dtype that an operation does not accept."""


class DeviceError(NeurenixError, RuntimeError):
    """A device that is absent, unknown, or differs from the one expected."""


class AutogradError(NeurenixError, RuntimeError):
    """A backward pass that cannot be carried out, or a write that would spoil one."""


class TraceError(NeurenixError, RuntimeError):
    """A traced computation asked for a value that only a real run has."""


class PrecisionError(NeurenixError, RuntimeError):
    """A precision that a plan cannot have, on a backend or for a graph."""


class PlanError(NeurenixError, NotImplementedError):
    """A graph that a backend has no plan of; the message says why, and core's plan serves."""


class PluginError(NeurenixError, RuntimeError):
    """A plugin that breaks the protocol it was declared for."""


class SettingError(NeurenixError, ValueError):
    """An environment variable with a value that is not understood."""


class MissingDependencyError(NeurenixError, ImportError):
    """An optional dependency is needed and is not installed."""


def require(module: str, *, install: str, purpose: str) -> ModuleType:
    """Import an optional dependency at the moment it is used.

    Args:
        module: The dotted module name, e.g. ``"PIL.Image"``.
        install: The command that installs it, e.g. ``"pip install pillow"``.
        purpose: What it is needed for, as a gerund: ``"reading photos"``.

    Returns:
        The imported module.

    Raises:
        MissingDependencyError: The module's distribution is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != top:
            raise  # the dependency is there, but broken: its own message says more
        raise MissingDependencyError(
            f"{purpose} needs the package {top!r}, which is not installed. Install it: {install}",
            name=module,
        ) from error
