"""Places where a function may keep what it depends on, or what it changes, in Python.

Each knows what stood there when it was made: whether that still holds, told quickly, since it is
asked before every run of a plan; a key to find the plan by; and how to put it back.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Sequence
from operator import is_
from typing import Any, Protocol

from neurenix.ops.mode import Symbolic
from neurenix.tensor import Tensor

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_RATES = ("lr", "initial_lr")
_TABLES = frozenset({"_parents", "_forward_hooks", "_forward_pre_hooks"})
_MISSING = object()


def token(value: Any) -> Any:
    """Return a plain value by which a graph is known, with its type; None for what is not plain."""
    if isinstance(value, _PLAIN):
        return type(value), value
    if type(value) is tuple and all(isinstance(item, _PLAIN) for item in value):
        return tuple, *map(type, value), value
    return None


def _part(value: Any) -> Any:
    """Return what stands for a value in a key. The place keeps it alive, so its id is its own."""
    return token(value) or id(value)


class Place(Protocol):
    """A place in Python."""

    @property
    def key(self) -> Sequence[Any]:
        """What it adds to a key."""
        ...

    @property
    def labels(self) -> Sequence[str]:
        """What stands in the key, for people."""
        ...

    def holds(self) -> bool:
        """Whether the same stands there still."""
        ...

    def undo(self) -> list[str]:
        """Put back what stood there; return what was changed, for people."""
        ...


class Attributes:
    """Names in a namespace: globals of Python modules, attributes of objects.

    Args:
        namespace: The namespace.
        names: The names that count, there or not.
        pattern: What a name is called, with a place for it.
    """

    def __init__(self, namespace: dict[str, Any], names: Iterable[str], pattern: str) -> None:
        self._namespace = namespace
        wanted = dict.fromkeys(names)
        self._kept = [(name, namespace[name]) for name in wanted if name in namespace]
        self._absent = wanted.keys() - namespace.keys()
        self._size = len(namespace)
        self._pattern = pattern
        self.labels = [pattern.format(repr(name)) for name, _ in self._kept]
        self.key = [(name, _part(value)) for name, value in self._kept]

    def values(self) -> Sequence[tuple[str, Any]]:
        """Return names and values."""
        return self._kept

    def holds(self) -> bool:
        """Whether all names have their values still."""
        get = self._namespace.get
        return len(self._namespace) == self._size and all(
            get(name, _MISSING) is value for name, value in self._kept
        )

    def undo(self) -> list[str]:
        """Give the names their values back."""
        changed = []
        for (name, value), label in zip(self._kept, self.labels, strict=True):
            if self._namespace.get(name, _MISSING) is not value:
                changed.append(label)
                self._namespace[name] = value
        for name in self._absent & self._namespace.keys():
            changed.append(self._pattern.format(repr(name)))
            del self._namespace[name]
        return changed


class Cell:
    """A variable of a function around the one that reads it."""

    def __init__(self, cell: types.CellType, label: str) -> None:
        self._cell = cell
        self.label = label
        self._kept = self.values()
        self.key = [_part(value) for value in self._kept]
        self.labels = [label] * len(self.key)

    def values(self) -> list[Any]:
        """Return the value, if there is one."""
        try:
            return [self._cell.cell_contents]
        except ValueError:
            return []

    def holds(self) -> bool:
        """Whether the variable has its value still."""
        now = self.values()
        return len(now) == len(self._kept) and all(map(is_, now, self._kept))

    def undo(self) -> list[str]:
        """Give the variable its value back."""
        if self.holds():
            return []
        if self._kept:
            self._cell.cell_contents = self._kept[0]
        else:
            del self._cell.cell_contents
        return [self.label]


class Items:
    """The items of a list or dict."""

    def __init__(self, container: list[Any] | dict[Any, Any], label: str) -> None:
        self._container = container
        self.label = label
        self._kept = container.copy()
        self.key = [len(self._kept), *map(_part, self._flat(self._kept))]
        self.labels = [label] * len(self.key)

    @staticmethod
    def _flat(container: list[Any] | dict[Any, Any]) -> Iterator[Any]:
        if isinstance(container, dict):
            for pair in container.items():
                yield from pair
        else:
            yield from container

    def holds(self) -> bool:
        """Whether the same items are there."""
        return len(self._container) == len(self._kept) and all(
            map(is_, self._flat(self._container), self._flat(self._kept))
        )

    def undo(self) -> list[str]:
        """Put the items back."""
        if self.holds():
            return []
        if isinstance(self._container, dict):
            self._container.clear()
            self._container.update(self._kept)
        else:
            self._container[:] = self._kept
        return [self.label]


class Module:
    """A module: its attributes, its mode, and what these depend on.

    Attributes:
        tensors: Its own parameters and buffers.
        has_hooks: Whether forward hooks are registered with it.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self.label = f"a {type(module).__name__}"
        self._vars: dict[str, Any] = vars(module)
        self._kept = dict(self._vars)
        self._parents = self._kept.get("_parents", {})
        self._above = tuple(self._parents)
        self._hooks = (self._kept["_forward_hooks"], self._kept["_forward_pre_hooks"])
        self.has_hooks = any(self._hooks)
        self.tensors = [value for value in self._kept.values() if isinstance(value, Tensor)]
        left_out = {*_TABLES, "_training"}
        named = [(name, value) for name, value in self._kept.items() if name not in left_out]
        self.key = [
            id(module),
            bool(module.training),
            self.has_hooks,
            *((name, _part(value)) for name, value in named),
        ]
        self.labels = [
            *(f"the {what} of {self.label}" for what in ("place", "mode", "hooks")),
            *(f"{name!r} of {self.label}" for name, _ in named),
        ]

    def attributes(self) -> Iterator[tuple[str, Any]]:
        """Yield what it holds beside its parts: settings, and objects of its own."""
        for name, value in self._kept.items():
            if name.startswith("_") and name.endswith(("_names", "_hooks", "_parents")):
                continue
            if not isinstance(value, Tensor) and not hasattr(value, "named_parameters"):
                yield name, value

    def holds(self) -> bool:
        """Whether it is as it was."""
        now = self._vars
        kept = self._kept
        return (
            len(now) == len(kept)
            and all(map(is_, now.values(), kept.values()))
            and tuple(self._parents) == self._above
            and any(self._hooks) == self.has_hooks
        )

    def undo(self) -> list[str]:
        """Give it its attributes back."""
        now, kept = self._vars, self._kept
        names = [name for name in now if name not in kept or now[name] is not kept[name]]
        names += [name for name in kept if name not in now]
        if names:
            now.clear()
            now.update(kept)
        return [f"{name!r} of {self.label}" for name in names]


class Optimizer:
    """An optimizer: its groups, their options, and the state of its parameters.

    Args:
        optimizer: The optimizer.
        rates: Whether learning rates belong to the key.
    """

    def __init__(self, optimizer: Any, *, rates: bool) -> None:
        self._optimizer = optimizer
        self._rates = rates
        self.label = f"the state or an option of the {type(optimizer).__name__}"
        self._groups = [dict(group) for group in optimizer.param_groups]
        self._params = [list(group["params"]) for group in self._groups]
        self._state = optimizer.state
        self._kept = {param: dict(state) for param, state in self._state.items()}
        left_out = () if rates else _RATES
        self._options = [
            [(name, value) for name, value in group.items() if name not in left_out]
            for group in self._groups
        ]
        self.key = [
            id(optimizer),
            *(
                (name, _part(value))
                for options in self._options
                for name, value in options
                if name != "params"
            ),
            *(id(param) for params in self._params for param in params),
            *(
                (id(param), name, _part(value))
                for param, state in self._kept.items()
                for name, value in state.items()
            ),
        ]
        self.labels = [self.label] * len(self.key)

    def holds(self) -> bool:
        """Whether it is as it was, but for learning rates that do not count."""
        optimizer = self._optimizer
        groups = optimizer.param_groups
        if optimizer.state is not self._state or len(groups) != len(self._options):
            return False
        for group, options, params in zip(groups, self._options, self._params, strict=True):
            if len(group["params"]) != len(params):
                return False
            for name, value in options:
                if group.get(name, _MISSING) is not value:
                    return False
        return self._state_holds()

    def _state_holds(self) -> bool:
        kept, now = self._kept, self._state
        if len(kept) != len(now):
            return False
        for param, state in kept.items():
            current = now.get(param)
            if current is None or len(current) != len(state):
                return False
            if not all(map(is_, current.values(), state.values())):
                return False
        return True

    def undo(self) -> list[str]:
        """Put options and state back; state that was made, with values, stays."""
        changed = []
        for group, kept in zip(self._optimizer.param_groups, self._groups, strict=False):
            if len(group) != len(kept) or not all(map(is_, group.values(), kept.values())):
                group.clear()
                group.update(kept)
                changed.append(f"an option of the {type(self._optimizer).__name__}")
        if self._optimizer.state is not self._state:
            self._optimizer.state = self._state
            changed.append(self.label)
        for param, state in list(self._state.items()):
            kept = self._kept.get(param, {})
            unlike = any(state.get(name, _MISSING) is not value for name, value in kept.items())
            traced = any(
                isinstance(value, Tensor) and isinstance(value.buffer, Symbolic)
                for value in state.values()
            )
            # A count in Python would stand still in a plan.
            counts = any(token(state[name]) is not None for name in state if name not in kept)
            if unlike or traced or counts:
                self._put_back(param)
                changed.append(f"the state of the {type(self._optimizer).__name__}")
        return list(dict.fromkeys(changed))

    def forget(self) -> bool:
        """Take away state that was made since; return whether there was any."""
        made = [
            param
            for param, state in self._state.items()
            if len(state) != len(self._kept.get(param, {}))
        ]
        for param in made:
            self._put_back(param)
        return bool(made)

    def made_state(self) -> bool:
        """Whether state was made since."""
        return not self._state_holds()

    def _put_back(self, param: Any) -> None:
        if param in self._kept:
            self._state[param].clear()
            self._state[param].update(self._kept[param])
        else:
            del self._state[param]


class Tensors:
    """Tensors, of which everything but the values counts.

    Attributes:
        has_hooks: Whether hooks wait for the gradient of one.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._kept = [
            (t, t.shape, t.dtype, t.device, t._requires_grad, _is_hooked(t)) for t in tensors
        ]
        self.has_hooks = any(hooked for *_, hooked in self._kept)
        self.key = [(id(tensor), *described) for tensor, *described in self._kept]
        self.labels = ["a tensor's shape, dtype, device or requires_grad"] * len(self.key)

    def holds(self) -> bool:
        """Whether they are as they were."""
        for tensor, shape, dtype, device, requires_grad, hooked in self._kept:
            if (
                tensor._requires_grad is not requires_grad
                or tensor.shape is not shape
                or tensor.dtype is not dtype
                or tensor.device is not device
                or (requires_grad and _is_hooked(tensor) is not hooked)
            ):
                return False
        return True

    def undo(self) -> list[str]:
        """Nothing: a trace restores what it changes of tensors."""
        return []


def _is_hooked(tensor: Tensor) -> bool:
    return bool(getattr(tensor, "_hooks", None))
