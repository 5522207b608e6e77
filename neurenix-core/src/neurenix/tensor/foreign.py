"""Data of foreign types, which plugins say how to read."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurenix.errors import PluginError
from neurenix.plugins.manager import plugin_manager
from neurenix.plugins.records import PluginRecord, describe
from neurenix.plugins.spec import Converter

# What needs no plugin, and so asks for none.
_FAMILIAR = (list, tuple, bool, int, float, np.ndarray, np.generic)
_found: dict[type, tuple[PluginRecord, Converter] | None] = {}
_asked: set[PluginRecord] = set()  # the plugins that were there when `_found` was filled


def converted(data: Any) -> Any:
    """Return data as a NumPy array or nested lists, if a plugin converts its type; else itself.

    Raises:
        PluginError: The plugin's converter failed.
    """
    if isinstance(data, _FAMILIAR):
        return data
    found = _converter(type(data))
    if found is None:
        return data
    plugin, converter = found
    try:
        result = converter.function(data)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever it is, the plugin is to be named
        raise PluginError(
            f"the converter of {plugin.label} for {converter.type_name} raised {describe(error)}"
        ) from error
    if not isinstance(result, _FAMILIAR):
        raise PluginError(
            f"the converter of {plugin.label} for {converter.type_name} gave a "
            f"{type(result).__name__}; expected a NumPy array or nested lists of numbers"
        )
    return result


def _converter(kind: type) -> tuple[PluginRecord, Converter] | None:
    manager = plugin_manager()
    if _asked != set(manager.records.values()):
        _found.clear()
        _asked.clear()
        _asked.update(manager.records.values())
    if kind not in _found:
        _found[kind] = None
        names = [f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__]
        given = manager.each("neurenix_register_converters", {}, _checked)
        pairs = [(plugin, converter) for plugin, converters in given for converter in converters]
        for name in names:  # the type itself before what it inherits from
            matching = [pair for pair in pairs if pair[1].type_name == name]
            if matching:
                _found[kind] = matching[0]
                break
    return _found[kind]


def _checked(given: Any) -> list[Converter]:
    converters: list[Any] = list(() if given is None else given)
    for converter in converters:
        if not isinstance(converter, Converter):
            raise PluginError(f"{converter!r} is no Converter")
    return converters
