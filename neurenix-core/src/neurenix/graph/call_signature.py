"""What of a call's arguments a plan depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurenix.backends.registry import resolve
from neurenix.errors import TraceError
from neurenix.graph.places import token
from neurenix.graph.structure import flatten, static_values
from neurenix.ops.mode import mode
from neurenix.ops.op import TensorMeta
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence


def describe_call(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Sequence[Any], Any, tuple[Any, ...]]:
    """Return the tensors of a call, what stands for its arguments, and those to look through."""
    leaves: list[Any] = []
    parts: list[Any] = [mode.grad]
    statics: list[Any] = []
    for value in args:
        if isinstance(value, Tensor):
            leaves.append(value)
            parts.append(_meta(value))
            continue
        plain = token(value)
        if plain is not None:
            parts.append(plain)
        elif isinstance(value, list | tuple | dict):
            break
        else:
            statics.append(value)
            parts.append(value)
    else:
        if not kwargs:
            key = tuple(parts)
            _check_hashable(key)
            return leaves, key, tuple(statics)
    leaves, nesting = flatten((args, kwargs), (Tensor, TensorMeta), "the arguments of a plan")
    metas = tuple(map(_meta, leaves))
    found = tuple(value for value in static_values(nesting) if token(value) is None)
    return leaves, (mode.grad, nesting, metas), found


def _check_hashable(key: Any) -> None:
    try:
        hash(key)
    except TypeError as error:
        raise TraceError(
            f"the arguments of a plan are tensors, tuples, lists and dicts of them, and plain "
            f"values, which can be hashed: {error}"
        ) from None


def _meta(leaf: Any) -> tuple[Any, ...]:
    if isinstance(leaf, Tensor):
        return leaf.shape, leaf.dtype, leaf.device, leaf._requires_grad
    return leaf.shape, leaf.dtype, resolve(), False
