"""Hooks around a module's forward."""

from __future__ import annotations

from typing import Any

import pytest

from neurenix import nn


class Echo(nn.Module):
    def forward(self, x: Any, *, factor: int = 1) -> Any:
        return x * factor


def test_hooks_see_and_replace() -> None:
    echo = Echo()
    seen: list[Any] = []
    pre = echo.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    post = echo.register_forward_hook(lambda module, args, out: seen.append((module, args, out)))
    change = echo.register_forward_hook(lambda module, args, out: out * 10)
    assert echo(1, factor=2) == 40
    assert seen == [(echo, (2,), 4)]
    change.remove()
    assert echo(1) == 2
    pre.remove()
    post.remove()
    post.remove()
    assert echo(1) == 1
    assert len(seen) == 2


def test_a_pre_hook_may_return_a_single_argument() -> None:
    echo = Echo()
    echo.register_forward_pre_hook(lambda module, args: args[0] + 5)
    assert echo(1) == 6


def test_hooks_with_keyword_arguments() -> None:
    echo = Echo()
    seen: list[Any] = []
    echo.register_forward_pre_hook(
        lambda module, args, kwargs: (args, {"factor": 3}), with_kwargs=True
    )
    echo.register_forward_hook(
        lambda module, args, kwargs, out: seen.append((args, kwargs, out)), with_kwargs=True
    )
    assert echo(2, factor=1) == 6
    assert seen == [((2,), {"factor": 3}, 6)]


def test_order_and_prepending() -> None:
    echo = Echo()
    order: list[str] = []
    for name, prepend in (("b", False), ("c", False), ("a", True)):
        echo.register_forward_hook(
            lambda module, args, out, name=name: order.append(name), prepend=prepend
        )
    echo(1)
    assert order == ["a", "b", "c"]


def test_a_hook_may_remove_itself() -> None:
    echo = Echo()
    calls: list[int] = []

    def once(module: nn.Module, args: Any, out: Any) -> None:
        calls.append(1)
        handle.remove()

    handle = echo.register_forward_hook(once)
    echo(1)
    echo(1)
    assert calls == [1]


def test_a_handle_is_a_context_manager() -> None:
    echo = Echo()
    with echo.register_forward_hook(lambda module, args, out: 0):
        assert echo(1) == 0
    assert echo(1) == 1


def test_only_functions_are_hooks() -> None:
    with pytest.raises(TypeError, match="a hook is a function, not a str"):
        Echo().register_forward_hook("hook")  # type: ignore[arg-type]
