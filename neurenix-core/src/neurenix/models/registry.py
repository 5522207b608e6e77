"""The architectures by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar, overload

from neurenix.nn import Module

Builder = TypeVar("Builder", bound=Callable[..., Module])
Takes: TypeAlias = Literal["photos", "texts"]
"""What an architecture is given: photos, (N, 3, H, W), or texts as token ids, (N, T)."""

_BUILDERS: dict[str, Callable[..., Module]] = {}
_TAKES: dict[str, Takes] = {}


@overload
def register(builder: Builder) -> Builder: ...
@overload
def register(*, takes: Takes) -> Callable[[Builder], Builder]: ...
def register(builder: Any = None, *, takes: Takes = "photos") -> Any:
    """Make an architecture available to ``create`` under its function's name; a decorator.

    Args:
        builder: The function that builds it.
        takes: What it is given.

    Raises:
        ValueError: The name is taken.
    """
    if builder is None:
        return lambda given: _registered(given, takes)
    return _registered(builder, takes)


def _registered(builder: Builder, takes: Takes) -> Builder:
    name = builder.__name__
    if name in _BUILDERS:
        raise ValueError(f"a model named {name!r} is registered already; choose another name")
    _BUILDERS[name], _TAKES[name] = builder, takes
    return builder


def names(takes: Takes | None = None) -> list[str]:
    """Return the names of the architectures, in the order they were registered.

    Args:
        takes: Of those that are given ``"photos"`` or ``"texts"`` only; None means all.
    """
    return [name for name, given in _TAKES.items() if takes in (None, given)]


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
