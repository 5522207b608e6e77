"""Modules that hold other modules in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, overload

from neurenix.nn.module import Module


class _Ordered(Module):
    """Children named by their position, or by names of their own."""

    def _fill(self, named: Iterable[tuple[Any, Any]]) -> None:
        for name, module in named:
            if not isinstance(module, Module):
                hint = " (its class was given; call it)" if isinstance(module, type) else ""
                raise TypeError(
                    f"item {name} of {type(self).__name__} must be a Module, not {module!r}{hint}"
                )
            self.register_module(name, module)

    def _items(self) -> list[Module]:
        return [self.__dict__[name] for name in self._child_names]

    def _refill(self, modules: list[Module]) -> None:
        for name in list(self._child_names):
            delattr(self, name)
        self._fill((str(i), module) for i, module in enumerate(modules))

    def _name(self, index: int) -> str:
        names = list(self._child_names)
        if not -len(names) <= index < len(names):
            raise IndexError(
                f"index {index} is out of range: {type(self).__name__} holds {len(names)} modules"
            )
        return names[index]

    def __len__(self) -> int:
        return len(self._child_names)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._items())

    def __contains__(self, module: object) -> bool:
        return any(module is each for each in self._items())

    def __setitem__(self, index: int, module: Module) -> None:
        self._fill([(self._name(index), module)])

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._child_names)
        doomed = names[index] if isinstance(index, slice) else [self._name(index)]
        numbered = names == [str(i) for i in range(len(names))]
        for name in doomed:
            delattr(self, name)
        if numbered:
            self._refill(self._items())

    def append(self, module: Module) -> Self:
        """Add a module at the end, and return the container."""
        return self.extend([module])

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end, and return the container."""
        start = len(self)
        self._fill((str(start + i), module) for i, module in enumerate(modules))
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Put a module before the one at an index, and return the container.

        Raises:
            ValueError: The modules have names of their own, which give no place to a number.
        """
        if list(self._child_names) != [str(i) for i in range(len(self))]:
            raise ValueError(
                f"insert() renumbers the modules, and these have names: "
                f"{', '.join(self._child_names)}"
            )
        modules = self._items()
        modules.insert(index, module)
        self._refill(modules)
        return self


class Sequential(_Ordered):
    """Modules that run one after the other, each on the output of the one before.

    They are given as arguments, as one iterable, or as a mapping from names:

        Sequential(Linear(4, 8), ReLU(), Linear(8, 2))
        Sequential([Linear(4, 8), ReLU(), Linear(8, 2)])
        Sequential({"hidden": Linear(4, 8), "act": ReLU(), "out": Linear(8, 2)})

    Indexing gives a module; a slice gives a `Sequential` of the same modules under the same names.

    Args:
        *modules: The modules, or a single iterable or mapping of them.
    """

    def __init__(self, *modules: Module | Iterable[Module] | Mapping[str, Module]) -> None:
        super().__init__()
        only = modules[0] if len(modules) == 1 else None
        if isinstance(only, Mapping):
            self._fill(only.items())
        elif isinstance(only, Iterable) and not isinstance(only, Module):
            self._fill((str(i), module) for i, module in enumerate(only))
        else:
            self._fill((str(i), module) for i, module in enumerate(modules))

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            names = list(self._child_names)[index]
            return Sequential({name: self.__dict__[name] for name in names})
        module: Module = self.__dict__[self._name(index)]
        return module

    def forward(self, x: Any) -> Any:
        """Run the modules in order."""
        for name in self._child_names:
            x = self.__dict__[name](x)
        return x


class ModuleList(_Ordered):
    """A list whose modules are registered, unlike those of a Python list.

    It does not run them: index it or iterate over it in the ``forward`` of its owner.

    Args:
        modules: The modules to begin with.
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> ModuleList: ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return ModuleList(self._items()[index])
        return self._items()[index]
