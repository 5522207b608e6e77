"""What a function reads besides its arguments, as far as it can be found without running it.

A search starts from the function: its closure, its defaults, the globals that its code names, the
object that it is bound to, and so on from there. Of an object, those attributes count that some
code reached so far names. Modules and optimizers are known as such; what belongs to Neurenix,
NumPy or Python itself is not entered.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from neurenix.graph.places import (
    Attributes,
    Cell,
    Items,
    Module,
    Optimizer,
    Place,
    Tensors,
    token,
)
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from neurenix.graph.graph import Graph

# Longer lists and dicts are data, which are not looked through.
_MAX_ITEMS = 64
_MAX_DEPTH = 12
_FOREIGN = {"neurenix", "numpy", "ml_dtypes"} | sys.stdlib_module_names
# What an optimizer's place knows of itself, or an optimizer makes as it goes.
_KEPT_APART = {"param_groups", "state", "defaults", "_lr_tensors"}
_PLAIN_FUNCTIONS = (types.BuiltinFunctionType, types.ModuleType, type)


class Names:
    """The names in the code that was reached so far: they only become more."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self._codes: dict[types.CodeType, tuple[str, ...]] = {}

    def of(self, code: types.CodeType) -> tuple[str, ...]:
        """Return the names of globals and attributes in code, that inside of it included."""
        found = self._codes.get(code)
        if found is None:
            inner = [self.of(each) for each in code.co_consts if isinstance(each, types.CodeType)]
            found = tuple(dict.fromkeys([*code.co_names, *(n for names in inner for n in names)]))
            self._codes[code] = found
            self.known.update(found)
        return found


class Surroundings:
    """What a function reads besides its arguments, as it is now.

    Args:
        roots: The function, and those of its arguments that are no tensors.
        met: Tensors that a trace of it met, and that the search may not find.
        names: The names in its code; kept from search to search.
        rates: Whether the learning rates of optimizers count. Those that are tensors do not.

    Attributes:
        key: Equal for surroundings that give the same graph.
        labels: What stands in the key, for people, place by place.
        modules: The modules that were found, with those above and below them.
        optimizers: The optimizers that were found.
        syncs: What writes learning rates to the tensors that hold them.
        rates: Whether learning rates stand in the key.
        obstacle: Why no plan can stand for the function, if that can be told already.
    """

    def __init__(
        self, roots: Sequence[Any], met: Sequence[Tensor], names: Names, *, rates: bool
    ) -> None:
        known = -1
        while known != len(names.known):  # what a name leads to may name more
            known = len(names.known)
            search = _Search(names, rates)
            for root in roots:
                search.visit(root, "the function", 0)
        search.tensors.update((id(tensor), tensor) for tensor in met)
        tensors = Tensors([*search.tensors.values()])
        self._places: list[Place] = [*search.places, tensors]
        self.modules = search.modules
        self.optimizers = search.optimizers
        self.obstacle = search.obstacle
        if tensors.has_hooks:
            self.obstacle = self.obstacle or "a tensor has hooks, which see every gradient"
        self.rates = rates
        syncs = (getattr(optimizer, "sync_lr", None) for optimizer in self.optimizers)
        self.syncs: list[Callable[[], None]] = [sync for sync in syncs if sync is not None]
        self.key = tuple(part for place in self._places for part in place.key)
        self.labels = [label for place in self._places for label in place.labels]
        self._search = search

    def holds(self) -> bool:
        """Whether nothing has changed since; False may be a false alarm."""
        return all(place.holds() for place in self._places)

    def leaves(self) -> list[Tensor]:
        """Return the tensors that require a gradient, each once."""
        found = [*self._search.tensors.values(), *self._optimized()]
        return [t for t in {id(t): t for t in found}.values() if t.requires_grad and t.is_leaf]

    def unwatched(self, graph: Graph, strangers: Sequence[Tensor]) -> list[Tensor]:
        """Return the parameters in a graph that the search did not come across by themselves.

        Args:
            graph: The graph.
            strangers: Those that the search does not know at all.
        """
        outside = {id(tensor) for tensor in (*self._optimized(), *strangers)}
        outside.difference_update(self._search.tensors)
        met = (value.tensor for value in graph.captured)
        found = {id(tensor): tensor for tensor in met if tensor is not None}
        return [tensor for key, tensor in found.items() if key in outside]

    def _optimized(self) -> list[Tensor]:
        groups = (group for optimizer in self.optimizers for group in optimizer.param_groups)
        return [param for group in groups for param in group["params"]]

    def names(self) -> dict[str, Tensor]:
        """Return names for the tensors that were found."""
        found: dict[str, Tensor] = {}
        named: set[int] = set()

        def add(name: str, tensor: Any) -> None:
            if isinstance(tensor, Tensor) and id(tensor) not in named:
                named.add(id(tensor))
                found[name if name not in found else f"{name}.{len(found)}"] = tensor

        for module in self.modules:
            for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                add(name, tensor)
        for number, tensor in enumerate(self._search.tensors.values()):
            add(f"tensor{number}", tensor)
        for optimizer in self.optimizers:
            for param, state in optimizer.state.items():
                for name, value in state.items():
                    add(f"{name}{param.shape}", value)
        return found

    def undo(self) -> list[str]:
        """Put back what a trace has changed, and return what that was, for people.

        The state that an optimizer has made at its first step is no change, and stays.
        """
        return [change for place in self._places for change in place.undo()]

    def forget_state(self) -> bool:
        """Take away the state that optimizers have made since; return whether there was any."""
        made = [place.forget() for place in self._places if isinstance(place, Optimizer)]
        return any(made)

    def made_state(self) -> bool:
        """Whether an optimizer has made state since."""
        return any(isinstance(place, Optimizer) and place.made_state() for place in self._places)

    def difference(self, other: Surroundings) -> str:
        """Return what differs from other surroundings, for people."""
        if len(self.key) == len(other.key):
            for label, a, b in zip(self.labels, self.key, other.key, strict=True):
                if a != b:
                    return label
        return "what it reads"


class _Search:
    """One search through what can be reached."""

    def __init__(self, names: Names, rates: bool) -> None:
        self.places: list[Place] = []
        self.modules: list[Any] = []
        self.optimizers: list[Any] = []
        self.tensors: dict[int, Tensor] = {}
        self.obstacle: str | None = None
        self._names = names
        self._rates = rates
        self._seen: dict[int, Any] = {}

    def visit(self, value: Any, label: str, depth: int) -> None:
        """Go into a value, once."""
        if token(value) is not None or isinstance(value, _PLAIN_FUNCTIONS):
            return
        if id(value) in self._seen or depth > _MAX_DEPTH:
            return
        self._seen[id(value)] = value
        if isinstance(value, Tensor):
            self.tensors[id(value)] = value
        elif isinstance(value, types.FunctionType):
            self._function(value, depth)
        elif isinstance(value, types.MethodType):
            self.visit(value.__func__, label, depth)
            self.visit(value.__self__, f"the {type(value.__self__).__name__}", depth)
        elif isinstance(value, functools.partial):
            self._inside({"func": value.func, **value.keywords}, label, depth)
            self._inside(dict(enumerate(value.args)), label, depth)
        elif hasattr(value, "named_parameters") and hasattr(value, "modules"):
            self._module(value, depth)
        elif hasattr(value, "param_groups") and hasattr(value, "state"):
            self._optimizer(value, depth)
        elif isinstance(value, list | dict | tuple):
            self._container(value, label, depth)
        elif hasattr(value, "__next__"):
            self.obstacle = (
                f"it takes from an iterator, {label}, which gives something else each time; pass "
                "what it gives as an argument"
            )
        else:
            self._object(value, depth)

    def _inside(self, values: Mapping[Any, Any], label: str, depth: int) -> None:
        for name, value in values.items():
            self.visit(value, f"{name} of {label}", depth + 1)

    def _container(self, value: Any, label: str, depth: int) -> None:
        if len(value) > _MAX_ITEMS:
            return
        if not isinstance(value, tuple):  # which can only lead to what changes
            self.places.append(Items(value, label))
        self._inside(value if isinstance(value, dict) else dict(enumerate(value)), label, depth)

    def _function(self, function: types.FunctionType, depth: int) -> None:
        if _is_foreign(function.__module__):
            return
        code = function.__code__
        place = Attributes(function.__globals__, self._names.of(code), "the global {}")
        self.places.append(place)
        for name, value in place.values():
            self.visit(value, f"the global {name!r}", depth + 1)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            held = Cell(cell, f"the variable {name!r}")
            self.places.append(held)
            for value in held.values():
                self.visit(value, held.label, depth + 1)
        self._inside(dict(enumerate(function.__defaults__ or ())), function.__name__, depth)
        self._inside(function.__kwdefaults__ or {}, function.__name__, depth)
        inner = getattr(function, "__wrapped__", None)
        if inner is not None:
            self.visit(inner, function.__name__, depth + 1)

    def _module(self, module: Any, depth: int) -> None:
        """Take a module with all above it, on which its mode depends, and all below."""
        family = list(module.modules())
        for each in family:
            if id(each) in self._seen and each is not module:
                continue
            self._seen[id(each)] = each
            self.modules.append(each)
            place = Module(each)
            self.places.append(place)
            self.tensors.update((id(tensor), tensor) for tensor in place.tensors)
            if place.has_hooks:
                self.obstacle = f"a {type(each).__name__} has forward hooks, which see every call"
            if not _is_foreign(type(each).__module__):
                self._methods(type(each), depth, always=("forward",))
            label = f"a {type(each).__name__}"
            for name, value in place.attributes():
                self.visit(value, f"{name!r} of {label}", depth + 1)
        for ref in getattr(module, "_parents", {}).values():
            parent = ref()
            if parent is not None:
                self.visit(parent, f"a {type(parent).__name__}", depth)

    def _optimizer(self, optimizer: Any, depth: int) -> None:
        """Take an optimizer, and what the code of one that is no part of Neurenix names."""
        self.optimizers.append(optimizer)
        self.places.append(Optimizer(optimizer, rates=self._rates))
        kind = type(optimizer)
        if _is_foreign(kind.__module__):
            return
        self._methods(kind, depth, always=("step", "zero_grad", "_update"))
        self._attributes(optimizer, self._names.known - _KEPT_APART, depth)

    def _object(self, value: Any, depth: int) -> None:
        """Take those attributes of an object that some code names."""
        kind = type(value)
        namespace = getattr(value, "__dict__", None)
        frozen = getattr(kind, "__dataclass_params__", None)
        schedules = kind.__module__.startswith("neurenix.optim")  # its code is not looked at
        if not isinstance(namespace, dict) or (_is_foreign(kind.__module__) and not schedules):
            return
        self._methods(kind, depth, always=("__call__",))
        wanted = self._names.known.union(namespace) if schedules else self._names.known
        self._attributes(value, wanted, depth, fixed=frozen is not None and frozen.frozen)

    def _attributes(self, value: Any, names: set[str], depth: int, *, fixed: bool = False) -> None:
        """Take attributes of an object; if they are fixed, they can only lead to what changes."""
        label = f"the {type(value).__name__}"
        place = Attributes(vars(value), sorted(names), f"{{}} of {label}")
        if not fixed:
            self.places.append(place)
        self._inside({repr(name): each for name, each in place.values()}, label, depth)

    def _methods(self, kind: type, depth: int, always: tuple[str, ...]) -> None:
        """Go into the methods of a class that some code names."""
        wanted = self._names.known.union(always)
        for owner in kind.__mro__:
            if _is_foreign(owner.__module__):
                continue
            for name in [name for name in vars(owner) if name in wanted]:
                found: Any = vars(owner)[name]
                if isinstance(found, property):
                    found = found.fget
                found = getattr(found, "__func__", found)
                if isinstance(found, types.FunctionType):
                    self.visit(found, name, depth + 1)


def _is_foreign(module: str | None) -> bool:
    """Whether what a Python module holds is left alone."""
    return module is not None and module.partition(".")[0] in _FOREIGN
