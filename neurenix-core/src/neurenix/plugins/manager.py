"""Discovery of plugins through entry points, each isolated from the others.

The loader is ours: pluggy's own stops at the first broken plugin and drops a second one of the
same name without a word.
"""

from __future__ import annotations

import os
import traceback
import warnings
from functools import cache

import pluggy

from neurenix.plugins.hookspecs import PROJECT, specifications

ENTRY_POINT_GROUP = "neurenix.backends"


class PluginManager(pluggy.PluginManager):
    """The plugins of this process, and those that could not be loaded.

    Attributes:
        broken: Entry point to the traceback of its import.
        distributions: Plugin's module name to the distribution it came with.
    """

    def __init__(self) -> None:
        super().__init__(PROJECT)
        self.broken: dict[str, str] = {}
        self.distributions: dict[str, str] = {}
        for specification in specifications():
            self.add_hookspecs(specification)

    def load_entry_points(self) -> None:
        """Load the plugins of every installed distribution; a broken one is kept aside."""
        from importlib_metadata import entry_points

        for entry_point in entry_points(group=ENTRY_POINT_GROUP):
            distribution = entry_point.dist.name if entry_point.dist else "unknown"
            name = f"{entry_point.name} ({distribution})"
            try:
                plugin = entry_point.load()
                self.register(plugin, name)
            except KeyboardInterrupt:
                raise
            except BaseException:  # a plugin may call sys.exit, or panic in native code
                self.broken[name] = traceback.format_exc()
                warnings.warn(
                    f"the plugin {name} cannot be loaded and is left out: "
                    f"{self.broken[name].strip().splitlines()[-1]}",
                    RuntimeWarning,
                    stacklevel=2,
                )
            else:
                self.distributions[entry_point.module] = distribution


@cache
def plugin_manager() -> PluginManager:
    """Return the process's plugin manager; entry points are read when it is first asked for.

    ``NEURENIX_PLUGIN_AUTOLOAD=0`` leaves entry points unread.
    """
    manager = PluginManager()
    if os.environ.get("NEURENIX_PLUGIN_AUTOLOAD", "1") != "0":
        manager.load_entry_points()
    return manager
