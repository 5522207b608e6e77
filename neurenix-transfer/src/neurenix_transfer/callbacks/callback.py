"""The moments of a training run, and how callbacks are told of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from neurenix.errors import NeurenixError

if TYPE_CHECKING:
    from neurenix.nn import Module
    from neurenix.optim import Optimizer
    from neurenix_transfer.history import History

# Each moment, with the number of arguments that are offered.
_MOMENTS = {
    "on_train_begin": 1,
    "on_train_end": 1,
    "on_epoch_begin": 2,
    "on_epoch_end": 2,
    "on_train_batch_begin": 2,
    "on_train_batch_end": 2,
}


class StopTraining(NeurenixError):
    """Raised in a callback to end the training after the current epoch's callbacks.

    Raised at a batch, it ends that epoch there: it is still validated and recorded.
    """


class Callback:
    """Base of callbacks that are objects; every method does nothing until it is overridden.

    A callback need not inherit from this: any object with some of these methods will do, and a
    method may take fewer arguments than are offered. What methods return means nothing: to end the
    training, set ``model.stop_training = True`` or raise `StopTraining`.

    What a callback remembers from one epoch to the next goes into checkpoints by `state_dict` and
    comes back by `load_state_dict`; an object of one's own needs both to be resumed.

    Attributes:
        model: The model in training; set before ``on_train_begin``.
        optimizer: Its optimizer.
        epochs: How many epochs were asked for.
    """

    model: Module
    optimizer: Optimizer
    epochs: int

    def attach(self, model: Module, optimizer: Optimizer, epochs: int) -> None:
        """Take in what a run is about, before its first moment."""
        self.model = model
        self.optimizer = optimizer
        self.epochs = epochs

    def on_train_begin(self, history: History) -> None:
        """Act before the first epoch."""

    def on_train_end(self, history: History) -> None:
        """Act after the last epoch, however the training ended."""

    def on_epoch_begin(self, epoch: int, history: History) -> None:
        """Act before an epoch; the first is 0."""

    def on_epoch_end(self, epoch: int, history: History) -> None:
        """Act after an epoch was validated and recorded."""

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, float]) -> None:
        """Act before a batch; ``logs`` holds ``size``, its number of samples."""

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """Act after a step; ``logs`` holds ``loss`` and ``size``."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs: tensors, numbers, strings, lists and dicts of them.

        The same keys at any time, before the first epoch too; empty where nothing is remembered.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; called after `on_train_begin` of a resumed run.

        Raises:
            ValueError: The state is of other options, with which it means something else.
        """


class CallbackList:
    """Tells several callbacks of each moment, in their order.

    Args:
        callbacks: Functions ``callback(epoch, history)`` and objects.

    Raises:
        TypeError: One is neither, or wants more arguments than there are.

    Attributes:
        stop_requested: Whether one of them raised `StopTraining`.
    """

    def __init__(self, callbacks: Iterable[Any]) -> None:
        self.callbacks = list(callbacks)
        self.stop_requested = False
        self._listeners: dict[str, list[Callable[..., Any]]] = {name: [] for name in _MOMENTS}
        for callback in self.callbacks:
            self._add(callback)

    @property
    def watches_batches(self) -> bool:
        """Whether any callback wants to know of batches, and so of each batch's loss."""
        begin, end = self._listeners["on_train_batch_begin"], self._listeners["on_train_batch_end"]
        return bool(begin or end)

    def attach(self, model: Module, optimizer: Optimizer, epochs: int) -> None:
        """Tell the callbacks what the run is about."""
        for callback in self.callbacks:
            if isinstance(callback, Callback):
                callback.attach(model, optimizer, epochs)
            elif callable(getattr(callback, "set_model", None)):
                callback.set_model(model)

    def tell(self, moment: str, *args: Any) -> None:
        """Tell every callback of a moment; one that raises `StopTraining` keeps none from it."""
        for listener in self._listeners[moment]:
            try:
                listener(*args)
            except StopTraining:
                self.stop_requested = True

    def stateful_names(self) -> list[str]:
        """Return the names of the callbacks that have a state to save, in their order."""
        return [name for name, _ in self._stateful()]

    def state(self) -> list[dict[str, Any]]:
        """Return the state of every callback that has one."""
        return [callback.state_dict() for _, callback in self._stateful()]

    def load_state(self, states: Iterable[Mapping[str, Any]]) -> None:
        """Give every callback that has a state the one that `state` returned of it.

        Raises:
            ValueError: A callback's state is of other options.
        """
        for (_, callback), state in zip(self._stateful(), states, strict=True):
            callback.load_state_dict(state)

    def _stateful(self) -> list[tuple[str, Any]]:
        return [
            (type(callback).__name__, callback)
            for callback in self.callbacks
            if callable(getattr(callback, "state_dict", None))
            and callable(getattr(callback, "load_state_dict", None))
            and callback.state_dict()
        ]

    def _add(self, callback: Any) -> None:
        if isinstance(callback, type):
            raise TypeError(
                f"{callback.__name__} is a class; make an object of it: {callback.__name__}(...)"
            )
        found = False
        for moment, offered in _MOMENTS.items():
            method = getattr(callback, moment, None)
            if callable(method):
                found = True
                if getattr(type(callback), moment, None) is not getattr(Callback, moment):
                    self._listeners[moment].append(_trimmed(method, offered))
        if found:
            return
        if not callable(callback):
            raise TypeError(
                f"{callback!r} is no callback: expected a function (epoch, history) or an object "
                f"with one of the methods {', '.join(_MOMENTS)}"
            )
        self._listeners["on_epoch_end"].append(_trimmed(callback, 2))


def _trimmed(function: Callable[..., Any], offered: int) -> Callable[..., Any]:
    """Return the function, called with as many of the arguments offered as it takes."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some builtins have no signature
        return function
    if any(param.kind is param.VAR_POSITIONAL for param in parameters):
        return function
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(param.default is param.empty for param in positional)
    if needed > offered:
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(
            f"the callback {name} takes {needed} arguments, and {offered} are offered: "
            "(epoch, history) for functions, as in neurenix.transfer.Callback for methods"
        )
    taken = min(len(positional), offered)
    return function if taken == offered else lambda *args: function(*args[:taken])
