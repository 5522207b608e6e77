"""The plugins of this process, each isolated from the others.

pluggy says which hooks there are and who implements them. The calls are ours: pluggy's own end at
the first plugin that raises an error.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Container, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

from neurenix._version import __version__
from neurenix.errors import PluginError, SettingError
from neurenix.plugins import environment
from neurenix.plugins.discovery import installed_plugins, normalize
from neurenix.plugins.hookspecs import PROJECT, specifications
from neurenix.plugins.records import BackendRecord, BackendState, PluginRecord

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

CORE = PluginRecord("numpy", "neurenix.backends.numpy.plugin", "neurenix-core", __version__)
"""The record of core's own plugin, which `neurenix.backends` registers."""
_OPENED = "neurenix_backend_opened"
_OURS = ("neurenix.", "pluggy")


class PluginManager(pluggy.PluginManager):
    """The plugins of this process, and those that could not be loaded.

    Attributes:
        records: What is known of each plugin, by its label.
        changed: Called after a plugin came or went.
    """

    def __init__(self) -> None:
        super().__init__(PROJECT)
        self.records: dict[str, PluginRecord] = {}
        self.changed: list[Callable[[], None]] = []
        self._opened: list[BackendRecord] = []
        self._warned: set[object] = set()
        for specification in specifications():
            self.add_hookspecs(specification)

    @property
    def broken(self) -> dict[str, str]:
        """The causes of the plugins that failed, by their labels."""
        return {
            label: record.traceback or record.cause
            for label, record in self.records.items()
            if record.state is BackendState.FAILED
        }

    # Coming and going ---------------------------------------------------------------------------

    def register(self, plugin: Any, name: str | None = None) -> str | None:
        """Register a plugin that is at hand, such as a module of one's own program.

        Args:
            plugin: A module or an object with hook implementations.
            name: What to call it; else the module's or the class's own name.

        Raises:
            PluginError: It implements a hook that there is not, or wraps one.
        """
        module = getattr(plugin, "__name__", type(plugin).__name__)
        return self.add(plugin, PluginRecord(name or module, module, _package(module)))

    def add(self, plugin: Any, record: PluginRecord) -> str | None:
        """Register a plugin whose record is known.

        Raises:
            PluginError: It implements a hook that there is not, or wraps one.
        """
        if self.is_registered(plugin):
            raise PluginError(
                f"{record.module!r} is registered already, as {self.get_name(plugin)}; one of the "
                "two entry points is one too many"
            )
        try:
            label = super().register(plugin, record.label)
            assert label is not None  # only a blocked name is refused without an error
            record.hooks = self._check(plugin)
        except BaseException as error:
            if self.is_registered(plugin):
                super().unregister(plugin)
            if isinstance(error, pluggy.PluginValidationError):
                raise PluginError(str(error)) from error
            raise
        self.records[label] = record
        for opened in self._opened:
            self.each(_OPENED, {"record": opened}, among=(label,))
        for notify in self.changed:
            notify()
        return label

    def unregister(self, plugin: Any = None, name: str | None = None) -> Any:
        """Take a plugin out, and its backends with it."""
        label = name or self.get_name(plugin)
        plugin = super().unregister(plugin, name)
        if label is not None:
            self.records.pop(label, None)
            self._warned = {key for key in self._warned if label not in str(key)}
        for notify in self.changed:
            notify()
        return plugin

    def _check(self, plugin: Any) -> tuple[str, ...]:
        names = []
        for caller in self.get_hookcallers(plugin) or ():
            mine = [i for i in caller.get_hookimpls() if i.plugin is plugin]
            if any(i.hookwrapper or i.wrapper for i in mine):
                raise PluginError(
                    f"it wraps the hook {caller.name!r}; implementations are called apart from "
                    "each other, so none can wrap the others"
                )
            if not caller.has_spec() and not all(i.optionalhook for i in mine):
                known = sorted(n for n, hook in vars(self.hook).items() if hook.has_spec())
                raise PluginError(
                    f"it implements the hook {caller.name!r}, which this core does not have; "
                    f"there are {', '.join(known)}. Mark a hook of newer cores with "
                    "hookimpl(optionalhook=True)"
                )
            names.append(caller.name)
        return tuple(sorted(names))

    # Loading ------------------------------------------------------------------------------------

    def load_entry_points(self) -> None:
        """Load the plugins of installed distributions; those that cannot be are kept aside.

        Raises:
            SettingError: ``NEURENIX_BACKENDS`` names what is not installed.
        """
        autoload, allowed = environment.autoload(), environment.allowed_backends()
        installed = installed_plugins()
        if allowed is not None:
            _check_installed(allowed, [record for record, _ in installed])
        for record, entry_point in installed:
            self.records[record.label] = record
            if not autoload:
                record.state = BackendState.DISABLED
                record.cause = f"{environment.AUTOLOAD}=0 loads no plugin"
            elif allowed is not None and place_among(allowed, record) is None:
                record.state = BackendState.DISABLED
                record.cause = f"{environment.BACKENDS} does not list it"
            elif entry_point is not None:
                self._load(entry_point, record)

    def _load(self, entry_point: EntryPoint, record: PluginRecord) -> None:
        what = f"importing {record.module}"
        try:
            plugin = entry_point.load()
            what = "registering it"
            self.add(plugin, record)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may call sys.exit, or panic in native code
            record.fail(what, error)

    def warn_of_failures(self) -> None:
        """Warn, all in one, of the plugins that cannot be loaded."""
        failed = [r for r in self.records.values() if r.state is BackendState.FAILED]
        if failed:
            causes = "; ".join(f"{record.label}: {record.cause}" for record in failed)
            self.warn_once(f"plugins that cannot be loaded are left out: {causes}")

    # Calling ------------------------------------------------------------------------------------

    def each(
        self,
        hook: str,
        arguments: Mapping[str, Any],
        read: Callable[[Any], Any] = lambda result: result,
        *,
        among: Container[str] | None = None,
        first: bool = False,
    ) -> list[tuple[PluginRecord, Any]]:
        """Call a hook of every plugin that implements it; one that fails is left out.

        Args:
            hook: The hook's name.
            arguments: Its arguments by name.
            read: Makes a result of what an implementation returns, or raises an error where that
                is not what the hook asks for. What it raises is the plugin's fault.
            among: The labels of the plugins to ask; None means all.
            first: Stop at the first result that is not None.

        Returns:
            The plugins and their results, without None, in pluggy's order: the last plugin to
            come is the first.
        """
        results = []
        for implementation in reversed(getattr(self.hook, hook).get_hookimpls()):
            label = implementation.plugin_name
            if among is not None and label not in among:
                continue
            try:
                values = [arguments[name] for name in implementation.argnames]
                result = read(implementation.function(*values))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # one plugin's fault must not take the others with it
                self.blame(self.records[label], hook, error)
                continue
            if result is not None:
                results.append((self.records[label], result))
                if first:
                    break
        return results

    def tell(self, hook: str, record: BackendRecord) -> None:
        """Call a hook that only tells of a backend; ``neurenix_backend_opened`` is remembered."""
        if hook == _OPENED:
            self._opened.append(record)
        self.each(hook, {"record": record})

    def blame(self, record: PluginRecord, hook: str, error: BaseException) -> None:
        """Note, and say once, that a plugin's implementation of a hook failed."""
        record.fail(f"its {hook}", error)
        self.warn_once(f"the plugin {record.label} failed: {record.cause}", (record.label, hook))

    def warn_once(self, message: str, about: object = None) -> None:
        """Warn of something about plugins, unless it was done before.

        Args:
            message: What to say.
            about: What must not be said twice, if not the message.
        """
        key = message if about is None else about
        if key not in self._warned:
            self._warned.add(key)
            text = f"{message.rstrip('.')}. `neurenix doctor` says more"
            warnings.warn(text, RuntimeWarning, stacklevel=_outside())


def place_among(allowed: tuple[str, ...], record: PluginRecord) -> int | None:
    """Return a plugin's place in the user's list of plugins, or None where it is not there."""
    for place, name in enumerate(allowed):
        if name == record.name or normalize(name) == record.distribution:
            return place
    return None


def _check_installed(allowed: tuple[str, ...], records: list[PluginRecord]) -> None:
    for name in allowed:
        if not any(place_among((name,), record) is not None for record in (*records, CORE)):
            known = ", ".join(record.label for record in (*records, CORE))
            raise SettingError(
                f"{environment.BACKENDS} names {name!r}, and no such plugin is installed; "
                f"expected some of these, by name or distribution: {known}"
            )


def _package(module: str) -> str:
    return normalize(module.partition(".")[0])


def _outside() -> int:
    """Return the stack level, for a warning, of the code that called into Neurenix."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_OURS):
        level, frame = level + 1, frame.f_back
    return level


_lock = threading.RLock()
_manager: PluginManager | None = None


def plugin_manager() -> PluginManager:
    """Return the process's plugin manager; entry points are read when it is first asked for."""
    global _manager  # noqa: PLW0603  (one a process)
    with _lock:
        if _manager is None:
            manager = _manager = PluginManager()  # a plugin that asks while it is loaded gets it
            try:
                manager.load_entry_points()
            except BaseException:
                _manager = None
                raise
            manager.warn_of_failures()
        return _manager
