"""Plugins: the hooks they implement, and how they are found.

A plugin is a module named by an entry point of group ``neurenix.backends``; see
`neurenix.plugins.hookspecs` for the hooks.
"""

from neurenix.plugins.hookspecs import hookimpl
from neurenix.plugins.manager import plugin_manager
from neurenix.plugins.spec import API_VERSION, BackendRecord, BackendSpec, BackendState

__all__ = [
    "API_VERSION",
    "BackendRecord",
    "BackendSpec",
    "BackendState",
    "hookimpl",
    "plugin_manager",
]
