"""Nested tuples, lists and dicts of tensors: taken apart, and put together again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurenix.errors import TraceError

_TENSOR = "tensor"
_STATIC = "static"
_SEQUENCE = "sequence"
_FIELDS = "fields"
_MAPPING = "mapping"


@dataclass(frozen=True, slots=True)
class Structure:
    """How leaves are nested. Two of the same nesting and the same static values are equal.

    Attributes:
        kind: What this node of the nesting is.
        type: Its Python type.
        keys: The keys of a mapping; the value itself of what is no tensor.
        children: What is inside.
    """

    kind: str
    type: type
    keys: tuple[Any, ...] = ()
    children: tuple[Structure, ...] = ()

    def rebuild(self, leaves: Iterator[Any]) -> Any:
        """Put leaves, in the order in which `flatten` gave them, into the nesting."""
        if self.kind == _TENSOR:
            return next(leaves)
        if self.kind == _STATIC:
            return self.keys[0]
        inner = [child.rebuild(leaves) for child in self.children]
        if self.kind == _SEQUENCE:
            return self.type(inner)
        if self.kind == _FIELDS:
            return self.type(*inner)
        return self.type(zip(self.keys, inner, strict=True))


def flatten(nested: Any, leaf_types: tuple[type, ...], what: str) -> tuple[list[Any], Structure]:
    """Return the leaves of nested tuples, lists and dicts, and how they are nested.

    Args:
        nested: The nesting. Numbers, strings, None and other hashable values may stand in it;
            they are part of the structure.
        leaf_types: What counts as a leaf.
        what: How an error names the nesting.

    Raises:
        TraceError: Something in it is neither a leaf nor hashable.
    """
    leaves: list[Any] = []
    return leaves, _visit(nested, leaf_types, what, leaves)


def _visit(nested: Any, leaf_types: tuple[type, ...], what: str, leaves: list[Any]) -> Structure:
    kind = type(nested)
    if isinstance(nested, leaf_types):
        leaves.append(nested)
        return Structure(_TENSOR, object)
    if isinstance(nested, Mapping):
        children = tuple(_visit(x, leaf_types, what, leaves) for x in nested.values())
        return Structure(_MAPPING, kind, tuple(nested), children)
    if isinstance(nested, (tuple, list)):
        children = tuple(_visit(x, leaf_types, what, leaves) for x in nested)
        return Structure(_FIELDS if hasattr(nested, "_fields") else _SEQUENCE, kind, (), children)
    try:
        hash(nested)
    except TypeError:
        raise TraceError(
            f"{what} can be tensors, tuples, lists and dicts of them, and plain values; "
            f"a {kind.__name__} is none of these"
        ) from None
    return Structure(_STATIC, kind, (nested,))


def tuple_of(count: int) -> Structure:
    """Return the structure of a plain tuple of tensors."""
    return Structure(_SEQUENCE, tuple, (), (Structure(_TENSOR, object),) * count)


def static_values(structure: Structure) -> Sequence[Any]:
    """Return the values in a structure that are no leaves."""
    if structure.kind == _STATIC:
        return structure.keys
    return [value for child in structure.children for value in static_values(child)]
