"""The architectures by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, TypeVar

from neurenix.nn import Module

Builder = TypeVar("Builder", bound=Callable[..., Module])

_BUILDERS: dict[str, Callable[..., Module]] = {}


def register(builder: Builder) -> Builder:
    """Make an architecture available to ``create`` under its function's name; a decorator.

    Raises:
        ValueError: The name is taken.
    """
    name = builder.__name__
    if name in _BUILDERS:
        raise ValueError(f"a model named {name!r} is registered already; choose another name")
    _BUILDERS[name] = builder
    return builder


def names() -> list[str]:
    """Return the names of all architectures, in the order they were registered."""
    return list(_BUILDERS)


def create(name: str, **options: Any) -> Module:
    """Build an architecture by its name.

    Args:
        name: One of ``names()``.
        **options: What its function takes, e.g. ``pretrained`` and ``num_classes``.

    Raises:
        ValueError: There is no such architecture.
    """
    if name not in _BUILDERS:
        close = difflib.get_close_matches(name, _BUILDERS)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        raise ValueError(f"unknown model {name!r}; {hint}known are {', '.join(_BUILDERS)}")
    return _BUILDERS[name](**options)
