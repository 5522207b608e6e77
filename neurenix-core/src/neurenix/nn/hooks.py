"""Functions that a module calls before and after its forward."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from neurenix.nn.module import Module

# Each hook by the id of its handle, with whether it takes keyword arguments too.
HookTable: TypeAlias = dict[int, tuple[Callable[..., Any], bool]]

_ids = count()


class HookHandle:
    """Removes the hook that it was returned for.

    Used as a context manager, it removes the hook when the block ends:

        with layer.register_forward_hook(remember):
            model(x)

    Attributes:
        id: The hook's number, under which the table holds it.
    """

    __slots__ = ("_table", "id")

    def __init__(self, table: HookTable) -> None:
        self._table = table
        self.id = next(_ids)

    def remove(self) -> None:
        """Remove the hook. Doing so twice is no error."""
        self._table.pop(self.id, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


def register(
    table: HookTable, hook: Callable[..., Any], prepend: bool, with_kwargs: bool
) -> HookHandle:
    """Add a hook to a table, as its last or as its first."""
    if not callable(hook):
        raise TypeError(f"a hook is a function, not a {type(hook).__name__}")
    handle = HookHandle(table)
    later = dict(table) if prepend else {}
    for key in later:
        del table[key]
    table[handle.id] = (hook, with_kwargs)
    table.update(later)
    return handle


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a module's forward between its hooks, each of which may replace what it was given."""
    for pre_hook, with_kwargs in tuple(module._forward_pre_hooks.values()):
        changed = pre_hook(module, args, kwargs) if with_kwargs else pre_hook(module, args)
        if changed is None:
            continue
        if with_kwargs:
            args, kwargs = changed
        else:
            args = changed if isinstance(changed, tuple) else (changed,)
    out = module.forward(*args, **kwargs)
    for hook, with_kwargs in tuple(module._forward_hooks.values()):
        changed = hook(module, args, kwargs, out) if with_kwargs else hook(module, args, out)
        if changed is not None:
            out = changed
    return out
