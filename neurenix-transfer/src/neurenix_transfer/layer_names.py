"""What the names of layers mean: which modules and parameters of a model they stand for.

| form | meaning |
|---|---|
| ``"layer1"`` | the module of that name with everything below it; never ``layer10`` |
| ``"layer1.0.conv1.weight"`` | one parameter |
| ``"layer[34]"``, ``"*.bn1"`` | a shell pattern over the names of modules and parameters |
| ``"re:layer[34]"`` | a regular expression that the whole of such a name must match |
| ``0``, ``-1`` | an index into the layer list, the direct children of the model in order |
| ``range(0, 4)``, ``slice(-2, None)``, ``"0:4"`` | a range of the layer list |

A model may say where its names are looked up, by a method ``layer_scopes()`` that returns a list
of `Scope`; the first that holds a name wins. A `TransferModel` looks into its base first, so that
``"layer4"`` means the base's. Indices count in the first scope only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from neurenix.errors import NeurenixError
from neurenix.nn import Module, Parameter

LayerName: TypeAlias = str | int | range | slice
LayerNames: TypeAlias = LayerName | Iterable[LayerName]

_SLICE = re.compile(r"(-?\d+)?:(-?\d+)?")
_LISTED = 12  # names shown in an error before it says how many there are


class UnknownLayerError(NeurenixError, ValueError):
    """A layer name that matches nothing in the model. Nothing has been changed."""


@dataclass(frozen=True)
class Scope:
    """A place where names are looked up.

    Attributes:
        prefix: What stands before a name found here in the model's full names.
        module: The module whose descendants are looked through.
        skipped: A direct child that is not part of the layer list, if any.
    """

    prefix: str
    module: Module
    skipped: Module | None = None

    def layers(self) -> list[tuple[str, Module]]:
        """Return the layer list: the direct children in order, each with its name."""
        return [(n, m) for n, m in self.module.named_children() if m is not self.skipped]


@dataclass
class Selection:
    """What a list of names stands for.

    Attributes:
        modules: The modules matched, by their full name in the model.
        parameters: Every parameter below them or named itself, by its full name in the model.
    """

    modules: dict[str, Module] = field(default_factory=dict)
    parameters: dict[str, Parameter] = field(default_factory=dict)

    def add_module(self, path: str, module: Module) -> None:
        """Take in a module with all that is below it."""
        self.modules[path] = module
        self.parameters.update(_walk_parameters(module, path))


def select_layers(model: Module, names: LayerNames | None) -> Selection:
    """Find the modules and parameters that names stand for.

    Args:
        model: The model to look into.
        names: One name or several, in any of the forms above. None stands for the whole model,
            an empty list for nothing.

    Raises:
        UnknownLayerError: A name matches nothing.
        TypeError: A name is neither text, nor a number, nor a range.
    """
    selection = Selection()
    if names is None:
        selection.modules[""] = model
        selection.parameters.update(_walk_parameters(model))
        return selection
    for name in _as_list(names):
        _select(selection, model, name)
    return selection


def find_layer(model: Module, name: str | int) -> tuple[str, Module]:
    """Find exactly one module by its name or index.

    Returns:
        The full name of the module in the model, and the module.

    Raises:
        UnknownLayerError: No module, or more than one, has that name.
    """
    modules = select_layers(model, [name]).modules
    if len(modules) == 1:
        return next(iter(modules.items()))
    if modules:
        raise UnknownLayerError(
            f"{name!r} matches {len(modules)} layers of {_title(model)} "
            f"({_listing(list(modules))}), where one is asked for. Name one of them."
        )
    raise UnknownLayerError(
        f"{name!r} is a parameter of {_title(model)}, where a layer is asked for. "
        f"Name the module that holds it: {str(name).rpartition('.')[0]!r}."
    )


def layer_list(model: Module) -> list[str]:
    """Return the names that indices and ranges count in: those of the direct children.

    Of a `TransferModel` these are its base's, without the classifier that it skips.
    """
    return [name for name, _ in scopes_of(model)[0].layers()]


def scopes_of(model: Module) -> list[Scope]:
    """Return the places that names of ``model`` are looked up in, in order."""
    declared: Any = getattr(model, "layer_scopes", None)
    return [Scope("", model)] if declared is None else list(declared())


def _walk_modules(module: Module, prefix: str = "") -> Iterator[tuple[str, Module]]:
    """Yield every module below; one that stands in several places comes under each name."""
    for path, each in module.named_modules(prefix, remove_duplicate=False):
        if each is not module:
            yield path, each


def _walk_parameters(module: Module, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
    """Yield every parameter below; one that stands in several places comes under each name."""
    for path, each in module.named_modules(prefix, remove_duplicate=False):
        yield from each.named_parameters(path, recurse=False)


def _as_list(names: LayerNames) -> list[LayerName]:
    listed = [names] if isinstance(names, str | int | range | slice) else list(names)
    for name in listed:
        if isinstance(name, bool) or not isinstance(name, str | int | range | slice):
            raise TypeError(
                f"a layer is named by text, by an index or by a range of the layer list, "
                f"not by {name!r} of type {type(name).__name__}"
            )
    return listed


def _select(selection: Selection, model: Module, name: LayerName) -> None:
    """Add what one name stands for to the selection, or raise."""
    scopes = scopes_of(model)
    if isinstance(name, str):
        if any(_select_by_name(selection, scope, name) for scope in scopes):
            return
        span = _SLICE.fullmatch(name)
        if span is None:
            raise UnknownLayerError(_unknown_name(model, name))
        name = slice(*(None if bound is None else int(bound) for bound in span.groups()))
    for path, module in _picked(model, scopes[0], name):
        selection.add_module(f"{scopes[0].prefix}{path}", module)


def _select_by_name(selection: Selection, scope: Scope, name: str) -> bool:
    matches = _matcher(name)
    modules = [(path, each) for path, each in _walk_modules(scope.module) if matches(path)]
    params = [(path, each) for path, each in _walk_parameters(scope.module) if matches(path)]
    for path, module in modules:
        selection.add_module(f"{scope.prefix}{path}", module)
    selection.parameters.update((f"{scope.prefix}{path}", param) for path, param in params)
    return bool(modules or params)


def _matcher(name: str) -> Callable[[str], bool]:
    if name.startswith("re:"):
        try:
            pattern = re.compile(name.removeprefix("re:"))
        except re.error as error:
            raise UnknownLayerError(f"{name!r} is no regular expression: {error}") from error
        return lambda path: pattern.fullmatch(path) is not None
    if any(char in name for char in "*?["):
        return lambda path: fnmatchcase(path, name)
    return lambda path: path == name


def _picked(model: Module, scope: Scope, name: int | range | slice) -> list[tuple[str, Module]]:
    layers = scope.layers()
    if isinstance(name, slice):
        picked = layers[name]
    else:
        wanted = [name] if isinstance(name, int) else list(name)
        beyond = [index for index in wanted if not -len(layers) <= index < len(layers)]
        picked = [] if beyond else [layers[index] for index in wanted]
    if not picked:
        numbered = [f"{index} {path}" for index, (path, _) in enumerate(layers)]
        raise UnknownLayerError(
            f"{name!r} reaches no layer, or beyond the {len(layers)} layers of {_title(model)}: "
            f"{_listing(numbered)}. Nothing has been changed."
        )
    return picked


def _unknown_name(model: Module, name: str) -> str:
    known: dict[str, None] = {}
    for scope in scopes_of(model):
        known.update((path, None) for path, _ in _walk_modules(scope.module))
        known.update((path, None) for path, _ in _walk_parameters(scope.module))
    close = get_close_matches(name.removeprefix("re:"), known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    return (
        f"no layer or parameter of {_title(model)} matches {name!r}.{hint} "
        f"Its layers are {_listing(layer_list(model))}. Nothing has been changed."
    )


def _listing(names: list[str]) -> str:
    shown = ", ".join(names[:_LISTED])
    rest = len(names) - _LISTED
    return f"{shown} and {rest} more" if rest > 0 else shown or "none"


def _title(model: Module) -> str:
    return type(model).__name__
