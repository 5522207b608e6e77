"""Plugins: the hooks they implement, how they are found, and what became of them.

A plugin is a module named by an entry point of group ``neurenix.backends``; see
`neurenix.plugins.hookspecs` for the hooks.
"""

from neurenix.plugins.hookspecs import hookimpl
from neurenix.plugins.manager import PluginManager, plugin_manager
from neurenix.plugins.records import BackendRecord, BackendState, PluginRecord
from neurenix.plugins.spec import API_VERSION, BackendSpec, Converter

__all__ = [
    "API_VERSION",
    "BackendRecord",
    "BackendSpec",
    "BackendState",
    "Converter",
    "PluginManager",
    "PluginRecord",
    "hookimpl",
    "plugin_manager",
]
