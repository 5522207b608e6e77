"""Turning the tape on and off."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, cast

from neurenix.ops.mode import mode

Function = TypeVar("Function", bound=Callable[..., Any])


class _Previous(threading.local):
    """What a mode returns to, for each time it was entered in this thread."""

    def __init__(self) -> None:
        self.states: list[bool] = []


class _GradMode:
    """A context manager, and a decorator, that sets whether ops are taped in this thread."""

    _enabled: bool

    def __init__(self) -> None:
        self._previous = _Previous()

    def __enter__(self) -> None:
        self._previous.states.append(mode.grad)
        mode.set(grad=self._enabled, tracer=mode.tracer)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        mode.set(grad=self._previous.states.pop(), tracer=mode.tracer)

    def __call__(self, function: Function) -> Function:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return cast(Function, run)


class no_grad(_GradMode):
    """Ops inside are not taped: ``with no_grad():``, or ``@no_grad()`` on a function."""

    _enabled = False


class enable_grad(_GradMode):
    """Ops inside are taped, also within `no_grad`."""

    _enabled = True


class inference_mode(no_grad):
    """As `no_grad`, said where nothing inside will ever need a gradient."""


def is_grad_enabled() -> bool:
    """Return whether ops are taped in this thread."""
    return mode.grad
