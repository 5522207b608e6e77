"""The ops that plugins give, by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurenix.errors import PluginError
from neurenix.ops.op import OPS, Op
from neurenix.plugins.manager import plugin_manager
from neurenix.plugins.records import PluginRecord

_given: dict[PluginRecord, dict[str, Op]] = {}


def custom_ops() -> Mapping[str, Op]:
    """Return the ops of all plugins, by their names.

    Each plugin is asked once, by the hook ``neurenix_register_ops``.
    """
    manager = plugin_manager()
    present = set(manager.records.values())
    new = present - set(_given)
    for gone in set(_given) - present:
        del _given[gone]
    if new:
        _given.update({plugin: {} for plugin in new})
        labels = {plugin.label for plugin in new}
        _given.update(manager.each("neurenix_register_ops", {}, _checked, among=labels))
    return {name: op for ops in _given.values() for name, op in ops.items()}


def custom(name: str) -> Op:
    """Return an op that a plugin gives; call it with tensors and, by name, its attributes.

    Args:
        name: The op's name.

    Raises:
        PluginError: No plugin gives an op of that name.
    """
    ops = custom_ops()
    if name not in ops:
        known = ", ".join(sorted(ops)) or "none at all"
        raise PluginError(
            f"no plugin gives an op {name!r}; there are {known}. `neurenix doctor` lists the "
            "plugins, and why any of them is of no use"
        )
    return ops[name]


def _checked(given: Any) -> dict[str, Op]:
    ops = {}
    for op in () if given is None else given:
        if not isinstance(op, Op):
            raise PluginError(f"{op!r} is no Op; declare it with neurenix.ops.op.composite")
        if OPS.get(op.name) is not op:
            raise PluginError(f"the op {op.name!r} is not the declared op of that name")
        ops[op.name] = op
    return ops
